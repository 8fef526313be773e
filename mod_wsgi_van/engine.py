"""The running parts behind one router in one process: cache, loads, reloader, watcher.

They start with the first request: a parent that preloads the router and forks would otherwise
share its inotify descriptor with children that have none of its threads.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.interpreter import life as lifecycle
from mod_wsgi_van.interpreter import log as logs
from mod_wsgi_van.isolation.contract import Isolation
from mod_wsgi_van.reload.attempts import Answers, Loads
from mod_wsgi_van.reload.changes import Changes
from mod_wsgi_van.reload.loader import Hooks, Loader
from mod_wsgi_van.reload.reloader import Reloader, Sweep
from mod_wsgi_van.reload.retiring import retire_all
from mod_wsgi_van.sites.release import Answer, Release
from mod_wsgi_van.sites.table import AppCache, Slot
from mod_wsgi_van.watch import open_watcher
from mod_wsgi_van.wsgi import Environ

log = logging.getLogger(__name__)

# Seconds. mod_wsgi kills a daemon process that takes more than 5 (shutdown-timeout).
_SHUTDOWN = 3.0
# The most of a core that the sweep takes: as a last net, and where it asks an override of
# get_version, whose cost is not ours.
_SWEEP_SHARE = 0.0005
_ASKING_SHARE = 0.1


@dataclass(frozen=True)
class Timing:
    """Settings of the parts, all in seconds; see Router."""

    update_interval: float
    settle: float
    sweep_interval: float
    load_timeout: float
    grace_period: float


class Engine:
    """Starts, wires and ends the parts. ``_lock`` guards which of that has been done."""

    def __init__(
        self,
        hooks: Hooks,
        isolations: Mapping[str, Callable[[], Isolation]],
        answers: Answers,
        timing: Timing,
        *,
        watch: str,
        ignore: Ignore,
        polls_versions: bool,
        base_path: str,
    ) -> None:
        self._base_path = base_path
        self._answers = answers
        self._timing = timing
        self._polls_versions = polls_versions  # get_version is an override: no event tells of it
        self._lock = threading.Lock()
        self._running = False
        self._stopped = False
        self._hooked = False
        self._complained: dict[str, None] = {}
        self.cache = AppCache()
        self.loader = Loader(hooks, isolations)
        self._watcher = open_watcher(
            watch, self._stale, ignore=ignore, update_interval=timing.update_interval
        )
        self._loads = Loads(self.cache, self.loader, self._watcher, answers, timing.load_timeout)
        self._reloader: Reloader | None = None

    def release(self, host: str, path: Path) -> tuple[Slot, Release | Answer | None]:
        """Return the slot of a vhost and what answers for it, loading it where need be.

        None when the load has not ended within load_timeout, or the engine is stopped.
        """
        while True:
            slot = self.cache.slot(host, path)
            release = slot.release
            if release is not None or self._stopped:
                return slot, release
            load = self._loads.first(slot)
            if load is not None:
                load.done.wait(max(0.0, load.deadline - time.monotonic()))
                if not load.done.is_set():
                    return slot, None

    def start(self, environ: Environ) -> None:
        """Start the threads of this process, once; from a request thread.

        Raises errors.WatchError when ``watch="inotify"`` cannot be had, RuntimeError when a thread
        cannot; the next request tries again.
        """
        if self._running or self._stopped:
            return
        with self._lock:
            if self._running or self._stopped:
                return
            logs.ensure()
            lifecycle.warn_of_interpreter(environ)
            if not os.path.isdir(self._base_path):
                log.warning(
                    "VAN013: base_path %s is not a directory: hosts below it get 404 until it is;"
                    " create it, or give the Router another base_path",
                    self._base_path,
                )
            self._watcher.start()
            self._reloader = self._new_reloader()
            self._reloader.start()
            for slot in self.cache:  # loaded before this process was forked off
                if isinstance(slot.release, Release):
                    self._watcher.add(slot.watch_key, self.loader.target(slot.path, slot.files))
                else:
                    self.cache.reset(slot)
                self._reloader.look_again(slot)
            if not self._hooked:
                self._hooked = True
                lifecycle.at_exit(self.shutdown)
                lifecycle.after_fork(self.after_fork)
            self._running = True

    def _new_reloader(self) -> Reloader:
        """With the parts that have state of one process; see ``after_fork``."""
        timing, polls = self._timing, self._polls_versions
        changes = Changes(
            self.cache,
            self.loader,
            self._loads,
            timing.settle,
            lambda key: polls or self._watcher.polled(key),
        )
        if polls:
            sweep = Sweep(timing.update_interval, _ASKING_SHARE, asks=True)
        else:
            sweep = Sweep(timing.sweep_interval, _SWEEP_SHARE, asks=False)
        return Reloader(self.cache, self.loader, self._loads, changes, sweep, timing.grace_period)

    def _stale(self, key: str) -> None:
        if self._reloader is not None:
            self._reloader.stale(key)

    def complain(self, text: str) -> None:
        """Log an error that requests meet once, as long as few different ones come."""
        if text not in self._complained and len(self._complained) < 1000:
            self._complained[text] = None
            log.error("%s", text)

    def shutdown(self) -> None:
        """End the threads, retire all releases and end what the isolations own."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        atexit.unregister(self.shutdown)
        self.cache.close()
        self.loader.closing()
        self._watcher.stop()
        if self._reloader is not None:
            self._reloader.stop(_SHUTDOWN / 2)
        current = [(slot.host, slot.release) for slot in self.cache]
        loaded = [(host, each.loaded) for host, each in current if isinstance(each, Release)]
        retire_all(loaded, _SHUTDOWN / 2)
        self.loader.shutdown(_SHUTDOWN / 2)

    def after_fork(self) -> None:
        """In a forked child: forget the parent's threads; the next request starts new ones."""
        self._lock = threading.Lock()
        self._running = False
        self._reloader = None
        self.cache.after_fork()
        self._loads.after_fork()
        self.loader.after_fork()
        self._watcher.after_fork()
