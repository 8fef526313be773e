"""Runs the attempts to load a vhost, each in a thread of its own, and says how they ended.

An attempt is claimed in the cache first (one at a time per vhost), so what happens here to a slot
happens in one thread.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version, points
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.reload.loader import Loader, Loading, Missing
from mod_wsgi_van.reload.retiring import retire
from mod_wsgi_van.sites.release import Answer, Release, State
from mod_wsgi_van.sites.table import AppCache, Load, Slot
from mod_wsgi_van.watch.contract import Watcher

log = logging.getLogger(__name__)

# ns between two values of the clock that the kernel takes a file's times from
_CLOCK_REALTIME_COARSE = 5
_TICK = round(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9) if sys.platform == "linux" else 10**7
_TRIES = 5  # at a vhost that is swapped while it is being loaded


@dataclass(frozen=True)
class Answers:
    """What the router answers where there is no application."""

    not_found: Answer
    failed: Answer


class Loads:
    """Starts attempts and ends them; called from request threads and from the reloader's."""

    def __init__(
        self,
        cache: AppCache,
        loader: Loader,
        watcher: Watcher,
        answers: Answers,
        load_timeout: float,
    ) -> None:
        self._cache = cache
        self._loader = loader
        self._watcher = watcher
        self._answers = answers
        self._timeout = load_timeout
        self.running: set[Load] = set()  # added to and discarded from atomically, read as a copy
        self.started: Callable[[], None] = _nothing  # set by the reloader, once
        self.ended: Callable[[Slot, Release | None], None] = _ignore

    def first(self, slot: Slot) -> Load | None:
        """Load a slot that has nothing to answer with; return the load to wait for.

        None: look at the slot again, and where it was evicted at its successor.
        """
        load, mine = self._cache.begin(slot, self._timeout)
        if load is None or not mine:
            return load
        try:
            if self._loader.exists(slot.path) or not self.forget(slot, load)[0]:
                self._start(load)
        except BaseException:
            self._cache.fail(load, self._answers.failed, (), None)
            raise
        return load

    def again(self, slot: Slot) -> None:
        """Load a slot anew, beside what it answers with."""
        load, mine = self._cache.begin(slot, self._timeout, reload=True)
        if load is not None and mine:
            self._start(load)

    def forget(self, slot: Slot, load: Load | None = None) -> tuple[bool, Release | None]:
        """Remember that there is no such vhost, and watch for the day there is.

        ``load`` is the attempt that found it missing. Returns whether it is missing still, and the
        release that it had.
        """
        target = Target(self._loader.wsgi_path(slot.path), tree=False)
        self._watcher.add(slot.watch_key, target)
        if load is not None and self._loader.exists(slot.path):
            return False, None  # it appeared before it was watched
        forgotten = self._cache.forget(slot, self._answers.not_found, load)
        if forgotten is None:
            self._watch_again(slot)
            return True, None
        old, evicted = forgotten
        for other in evicted:
            self._watcher.remove(other.watch_key)
        if self._loader.exists(slot.path):  # since it was watched, while a load counted as running
            self.ended(slot, None)
        return True, old

    def _watch_again(self, slot: Slot) -> None:
        """Undo what a superseded load has told the watcher."""
        self._watcher.add(slot.watch_key, self._loader.target(slot.path, slot.files))

    def after_fork(self) -> None:
        self.running = set()
        self.started, self.ended = _nothing, _ignore
        hurry.after_fork()

    def _start(self, load: Load) -> None:
        self.running.add(load)
        self.started()
        name = f"van-load-{load.slot.host}"
        try:
            threading.Thread(target=self._run, args=(load,), name=name, daemon=True).start()
        except RuntimeError:  # no thread to be had: slower, and without a time limit
            self._run(load)

    def _run(self, load: Load) -> None:
        slot = load.slot
        hurry.begin(load)
        try:
            replaced = self._attempt(load)
        except BaseException:  # a defect of ours: say so, and leave nobody waiting
            log.exception("%s: VAN009: loading failed in an unexpected way", slot.host)
            replaced = None
            self._cache.fail(load, self._answers.failed, slot.files, load.state)
        finally:
            hurry.end(load)
            self.running.discard(load)
        self.ended(slot, replaced)

    def _attempt(self, load: Load) -> Release | None:
        """Load and install; return the release that was replaced."""
        slot, tries = load.slot, _TRIES
        while True:
            self._watcher.add(slot.watch_key, self._loader.target(slot.path, slot.files))
            try:
                load.state = self._settled_state(slot.path)
                loading = self._loader.load(slot.host, slot.path, load.state)
            except Missing:
                missing, old = self.forget(slot, load)
                if missing:
                    return old
            except LoadError as error:
                if tries and self._moved(load):
                    tries -= 1
                    continue
                self._failed(load, error)
                return None
            else:
                return self._loaded(load, loading)

    def _moved(self, load: Load) -> bool:
        """Whether the vhost leads elsewhere by now, so that what failed may have been deleted."""
        if load.state is None or load.slot.loading is not load:
            return False  # nothing was measured, or a newer attempt has taken its place
        return self._loader.leads_to(load.slot.path) not in ("", load.state.directory)

    def _settled_state(self, path: Path) -> State:
        """Measure; where a file has just changed, once the kernel's coarse clock has moved on.

        Another change within the same tick would have the same times, and never be noticed.
        """
        state = self._loader.state(path)
        if isinstance(state.version, Version):
            age = time.time_ns() - state.version.changed
            if 0 <= age < _TICK:
                time.sleep((_TICK - age) / 1e9)
                state = self._loader.state(path)
        return state

    def _loaded(self, load: Load, loading: Loading) -> Release | None:
        slot, host = load.slot, load.slot.host
        before = slot.files
        current, old = self._cache.install(load, loading.release)
        if not current:
            log.info("%s: dropped %s, loaded too late", host, loading.release.state.directory)
            retire(host, loading.release.loaded)
            return None
        if before:  # the files of the failed attempt before it are of no interest any more
            self._watcher.add(slot.watch_key, self._loader.target(slot.path))
        took = (time.monotonic() - load.started) * 1000
        say_loaded(host, loading, old.state if old else None, took)
        return old

    def _failed(self, load: Load, error: LoadError) -> None:
        slot = load.slot
        state = load.state
        if error.files:
            self._watcher.add(slot.watch_key, self._loader.target(slot.path, error.files))
            if state is not None:
                state = State(state.version, state.directory, points(error.files))
        if self._cache.fail(load, self._answers.failed, error.files, state):
            say_failed(slot, error, self._loader.wsgi_path(slot.path))
        elif error.files:
            self._watch_again(slot)


def say_loaded(host: str, loading: Loading, before: State | None, took: float) -> None:
    """Log a load or a reload, and what an operator should know of its isolation."""
    directory = loading.release.state.directory
    if before is None:
        log.info("%s: loaded %s in %.0f ms (%s)", host, directory, took, loading.choice.reason)
    elif before.directory != directory:
        log.info("%s: reloaded in %.0f ms: %s -> %s", host, took, before.directory, directory)
    else:
        latest = getattr(loading.release.state.version, "latest", "")
        changed = f" (newest file: {latest})" if latest else ""
        log.info("%s: reloaded in %.0f ms: %s changed%s", host, took, directory, changed)
    if loading.release.isolation == "imports" and loading.choice.compiled and before is None:
        log.warning(
            "%s: VAN011: %s loaded in this process: a reload may fail or leak memory with"
            ' extension modules; isolation="process" gives the vhost a process of its own',
            host,
            ", ".join(loading.choice.compiled),
        )


def say_failed(slot: Slot, error: LoadError, wsgi_path: str) -> None:
    release = slot.release
    if isinstance(release, Release):
        outcome = f"the release from {release.state.directory} goes on serving"
    else:
        outcome = "requests get 500"
    log.error(
        "%s; %s until something changes in %s%s",
        error.of(slot.host),
        outcome,
        wsgi_path,
        "\n" + error.details.rstrip() if error.details else "",
    )


def say_late(load: Load, wsgi_path: str) -> None:
    """Log that an import does not end."""
    release = load.slot.release
    if isinstance(release, Release):
        outcome = f"the release from {release.state.directory} goes on serving"
    else:
        outcome = "requests get 503"
    log.error(
        "%s: VAN004: loading %s has not ended within load_timeout (%g s); %s meanwhile;"
        " look for what its import waits for",
        load.slot.host,
        wsgi_path,
        load.deadline - load.started,
        outcome,
    )


def _nothing() -> None:
    pass


def _ignore(slot: Slot, release: Release | None) -> None:
    pass
