"""The watcher that chooses per key: inotify where it can be trusted and had, polling elsewhere."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import kernel
from mod_wsgi_van.watch.arming import Foreign
from mod_wsgi_van.watch.contract import Stale
from mod_wsgi_van.watch.filesystem import foreign
from mod_wsgi_van.watch.inotify import InotifyWatcher
from mod_wsgi_van.watch.polling import Polling
from mod_wsgi_van.watch.refusal import Refused

log = logging.getLogger(__name__)


class Auto:
    """Watcher that moves to polling what inotify refuses, and says so once per reason.

    ``make`` and ``foreign`` are as for InotifyWatcher; ``retry`` is how many
    seconds after inotify could not be had at all the next new key tries again.
    """

    name = "auto"

    def __init__(
        self,
        stale: Stale,
        *,
        ignore: Ignore,
        update_interval: float,
        make: Callable[[], kernel.Inotify] = kernel.Inotify,
        foreign: Foreign = foreign,
        retry: float = 60.0,
    ) -> None:
        self._interval = update_interval
        self._retry = retry
        self._polling = Polling(stale, ignore=ignore, update_interval=update_interval)
        self._inotify = InotifyWatcher(
            stale, ignore=ignore, refused=self._refused, make=make, foreign=foreign
        )
        self._begin()

    def _begin(self) -> None:
        # Guards which of the two has a key, and what follows. Nothing is measured under it once
        # started: that takes long where a tree is large or a file server does not answer.
        self._lock = threading.Lock()
        self._targets: dict[str, Target] = {}
        self._pid = os.getpid()
        self._started = self._stopped = False
        self._retry_at: float | None = None  # monotonic; None while inotify works
        self._unpolled = False  # there are keys to poll and no thread could be had
        self._said: set[str] = set()

    def start(self) -> None:
        self._own()
        with self._lock:
            if not self._started and not self._stopped:
                self._started = True
                if self._start_inotify():
                    log.info("watching with inotify")

    def _start_inotify(self) -> bool:
        try:
            self._inotify.start()
        except WatchError as error:
            self._retry_at = time.monotonic() + self._retry
            self._say("all", str(error), "everything")
            self._start_polling()
            for key, target in self._inotify.give_up().items():
                self._polling.add(key, target)
            return False
        self._retry_at = None
        return True

    def add(self, key: str, target: Target) -> None:
        self._own()
        with self._lock:
            if self._stopped:
                return
            self._targets[key] = target
            if self._retry_at is not None and time.monotonic() >= self._retry_at:
                self._start_inotify()
            if self._unpolled:
                self._start_polling()
            if self._retry_at is None:
                why = self._inotify.arm(key, target)
                if why is None:
                    self._polling.remove(key)
                    return
                self._say(why.kind, str(why), target.path)
        self._poll(key, target)

    def polled(self, key: str) -> bool:
        """Whether the key is known and polled."""
        return self._polling.knows(key)

    def remove(self, key: str) -> None:
        self._own()
        with self._lock:
            self._targets.pop(key, None)
            self._inotify.remove(key)
            self._polling.remove(key)

    def stop(self) -> None:
        self._own()
        with self._lock:
            self._stopped = True
        self._inotify.stop()
        self._polling.stop()

    def after_fork(self) -> None:
        self._inotify.after_fork()
        self._polling.after_fork()
        self._begin()

    def _own(self) -> None:
        if self._pid != os.getpid():
            self.after_fork()

    def _refused(self, key: str, target: Target, why: Refused) -> None:
        """inotify let a key go; called from its worker thread."""
        with self._lock:
            if self._stopped or self._inotify.knows(key):
                return
            self._say(why.kind, str(why), target.path)
        self._poll(key, target)

    def _poll(self, key: str, target: Target) -> None:
        entry = self._polling.look(key, target)
        with self._lock:
            if self._targets.get(key) != target or self._inotify.knows(key) or self._stopped:
                return  # removed, or added anew, meanwhile
            self._polling.put(entry)
            if self._started:
                self._start_polling()

    def _start_polling(self) -> None:
        try:
            self._polling.start()
            self._unpolled = False
        except RuntimeError as error:  # the next new key tries again
            self._unpolled = True
            self._say("polling", f"VAN020: no thread can be had for polling ({error})", "nothing")

    def _say(self, kind: str, why: str, what: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning("%s; polling %s every %s s", why, what, self._interval)
