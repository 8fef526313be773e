"""Tells that what stands behind a key may have changed, by inotify; and which keys to poll."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.settings import WATCH
from mod_wsgi_van.watch import kernel, obstacle
from mod_wsgi_van.watch.arming import MOST, Arming
from mod_wsgi_van.watch.filesystem import foreign, mounts
from mod_wsgi_van.watch.kernel import Event
from mod_wsgi_van.watch.obstacle import Obstacle
from mod_wsgi_van.watch.reader import Descriptors, Reader
from mod_wsgi_van.watch.table import Table

log = logging.getLogger(__name__)

ENVIRONMENT = "MOD_WSGI_VAN_WATCH"
RETRY = 60.0  # seconds until inotify is asked for again where it could not be had

_OVERFLOW = (
    "VAN021: the kernel's queue of events overflowed and everything is looked at again; raise"
    " fs.inotify.max_queued_events with sysctl if this recurs"
)


class Watcher:
    """Calls ``stale(key)`` from its thread: what stands behind the key may have changed.

    After that hint the key is to be armed again, for its paths may lead elsewhere; whoever arms
    first and measures then misses nothing. ``stale`` must be quick and must not raise. A hint too
    many costs one comparison, a hint too few is a bug.

    ``setting``: "auto" polls what inotify cannot watch, "inotify" does not, "polling" polls all;
    the environment variable MOD_WSGI_VAN_WATCH goes first, and ValueError is raised for another.
    ``make`` opens an inotify instance; ``foreign`` names a file system where inotify is blind;
    ``retry``: seconds until inotify is asked for again; ``most`` directories of a target.
    """

    def __init__(
        self,
        stale: Callable[[str], None],
        *,
        ignore: Ignore,
        update_interval: float,
        setting: str = "auto",
        make: Callable[[], kernel.Inotify] = kernel.Inotify,
        foreign: Callable[[str], str | None] = foreign,
        retry: float = RETRY,
        most: int = MOST,
    ) -> None:
        wanted = os.environ.get(ENVIRONMENT)
        self._why = f"{ENVIRONMENT}={wanted}" if wanted else f'watch="{setting}"'
        self._setting = wanted or setting
        if self._setting not in WATCH:
            raise ValueError(f"watch must be one of {', '.join(WATCH)}; {self._why} is not")
        self._stale = stale
        self._ignore = ignore
        self._interval = update_interval
        self._make = make
        self._foreign = foreign
        self._retry = retry
        self._most = most
        self._begin()

    def _begin(self) -> None:
        # Guards the start and the end. Nothing is looked up in the file system while it is held.
        self._lock = threading.Lock()
        self._descriptors: Descriptors | None = None
        self._reader: Reader | None = None
        self._table: Table | None = None
        self._mounts: frozenset[tuple[str, str]] = frozenset()  # the reader's
        # Keys to poll, and all keys that were armed: each step on a set is one atomic operation,
        # and a key is armed by one thread at a time but where one of them hangs.
        self._polled: set[str] = set()
        self._armed: set[str] = set()
        self._retry_at = float("inf")
        self._said: set[str] = set()
        self._stopped = False

    def start(self) -> None:
        """Start the thread, once; does nothing after ``stop``.

        Raises errors.WatchError when ``setting`` is "inotify" and inotify cannot be had.
        """
        with self._lock:
            if self._reader is not None or self._stopped:
                return
            if self._setting == "polling":
                log.info("watching by polling every %s s: %s", self._interval, self._why)
            elif self._setting == "inotify":
                try:
                    self._open()
                except Obstacle as why:
                    error = WatchError(why.text)
                    error.code = why.code
                    raise error from why
                log.info("watching with inotify: %s", self._why)
            elif self._try_to_open():
                log.info("watching with inotify")

    def _try_to_open(self) -> bool:
        try:
            self._open()
        except Obstacle as why:
            self._retry_at = time.monotonic() + self._retry
            self._say(why.kind, f"{why}; polling everything every {self._interval} s")
            return False
        self._retry_at = float("inf")
        return True

    def _open(self) -> None:
        try:
            descriptors = Descriptors(self._make)
        except OSError as error:
            raise obstacle.no_instance(error) from error
        self._mounts = mounts()
        reader = Reader(descriptors, self._on_events, self._on_mounts)
        try:
            reader.start()
        except RuntimeError as error:
            descriptors.close()
            raise obstacle.no_thread(error) from error
        self._descriptors, self._reader = descriptors, reader
        self._table = Table(descriptors.inotify, self._foreign)
        for key in tuple(self._armed):  # armed in the table when it is looked at
            self._stale(key)

    def arm(self, key: str, target: Target) -> None:
        """Watch ``target`` under ``key``, in place of what was watched under it before.

        Called from any thread; looks at the file system and may wait for it. When it returns, every
        later change is reported, or the key is polled.
        """
        table = self._table if self._table is not None else self._late_table()
        if self._stopped:
            return
        self._armed.add(key)
        if table is None:
            self._polled.add(key)
            return
        ignore = self._ignore.also(target.ignored)
        claims = table.begin(key, ignore)
        arming = Arming(table, claims, ignore, self._most)
        try:
            arming.target(target)
        finally:
            table.end(claims)
        if arming.obstacle is None:
            self._polled.discard(key)
        elif not self._stopped:  # else the descriptor is closed, and that is no obstacle
            self._polled.add(key)
            self._say_obstacle(arming.obstacle, target)
        if arming.unsettled:
            self._stale(key)

    def _late_table(self) -> Table | None:
        """Ask for inotify again where it could not be had."""
        if time.monotonic() < self._retry_at:
            return None
        with self._lock:
            if self._table is None and not self._stopped:
                self._try_to_open()
            return self._table

    @property
    def mode(self) -> str:
        return "inotify" if self._table is not None else "polling"

    def polled(self) -> set[str]:
        """Return the keys whose changes are found by polling alone, or where a part of them is."""
        return set() if self._setting == "inotify" else self._polled

    def remove(self, key: str) -> None:
        """Forget ``key``; an unknown key is no error. A late ``stale(key)`` may still come."""
        self._armed.discard(key)
        self._polled.discard(key)
        if (table := self._table) is not None:
            table.remove(key)

    def stop(self) -> None:
        """End the thread and give back every descriptor; may be called twice, or never started."""
        with self._lock:
            self._stopped = True
            reader, self._reader = self._reader, None
            descriptors, self._descriptors = self._descriptors, None
            # The table stays: freeing it takes as long as all the rest where keys are many.
        if reader is not None:
            reader.stop()
            if reader is not threading.current_thread():
                reader.join(timeout=1)
        if descriptors is not None:
            descriptors.close()

    def after_fork(self) -> None:
        """In a forked child: close what was inherited and forget it, without touching the parent.

        The watcher is then as new: empty and not started. The kernel objects stay the parent's.
        """
        descriptors = self._descriptors
        self._begin()
        if descriptors is not None:
            descriptors.close()

    def _on_events(self, events: list[Event]) -> None:
        """From the reader."""
        table = self._table
        if table is None:
            return
        keys: dict[str, None] = {}
        for event in events:
            if event.mask & kernel.IN_Q_OVERFLOW:
                self._say("overflow", _OVERFLOW)
                keys.update(dict.fromkeys(table.keys()))
            else:
                keys.update(dict.fromkeys(table.concerned(event)))
        for key in keys:
            self._stale(key)

    def _on_mounts(self) -> None:
        """From the reader."""
        known, self._mounts = self._mounts, mounts()
        table = self._table
        if table is not None:
            for key in table.mounted({point for _, point in known ^ self._mounts}):
                self._stale(key)

    def _say_obstacle(self, found: Obstacle, target: Target) -> None:
        if self._setting == "inotify":
            outcome = "what changes there is found by the sweep only"
        else:
            outcome = f"polling {target.path} every {self._interval} s"
        self._say(found.kind, f"{found}; {outcome}")

    def _say(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning("%s", text)
