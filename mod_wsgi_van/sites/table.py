"""The application cache: vhost directory -> slot, and what each slot answers with.

``AppCache.lock`` guards the tables and every field of every slot and load; nothing foreign is
called while it is held. A request reads ``slot.release`` without it: one reference, replaced by one
assignment.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from mod_wsgi_van.sites.release import Answer, Release, State

# How many vhosts that do not exist are remembered: each has a watch and is polled where inotify is
# missing, and a client can name any number of them.
UNKNOWN_LIMIT = 1024

_serial = itertools.count(1)


class Load:
    """One attempt to load a vhost; ``done`` is set when it has ended, either way."""

    __slots__ = (
        "begun",
        "deadline",
        "done",
        "hinted",
        "said_late",
        "slot",
        "started",
        "state",
        "supersedes",
    )

    def __init__(self, slot: Slot, timeout: float) -> None:
        self.slot = slot
        self.supersedes = slot.loading is not None  # one that was late
        self.hinted = False  # something was reported while it ran
        self.begun = time.time_ns()
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.done = threading.Event()
        self.state: State | None = None  # known once the loading thread measured it
        self.said_late = False

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.deadline


class Slot:
    """One vhost directory.

    ``release`` is None until the first load, an Answer while there is nothing to serve, and else
    the current release. ``state`` is that of the last attempt, failed ones included, and ``took``
    when that was: ns since the epoch, from and to.
    """

    __slots__ = (
        "files",
        "host",
        "loading",
        "path",
        "release",
        "state",
        "took",
        "unknown",
        "watch_key",
    )

    def __init__(self, host: str, path: Path) -> None:
        self.host = host
        self.path = path
        self.release: Release | Answer | None = None
        self.loading: Load | None = None
        self.state: State | None = None
        self.took = (0, 0)
        self.files: tuple[str, ...] = ()  # what the traceback of a failed attempt named
        self.unknown = False  # counts against UNKNOWN_LIMIT
        # Of its own for every slot, so that forgetting an evicted slot's watch cannot take away
        # that of its successor, whatever the order in which two threads get there.
        self.watch_key = f"{path}#{next(_serial)}"


class AppCache:
    """The slots; see the module for who may do what."""

    def __init__(self, unknown_limit: int = UNKNOWN_LIMIT) -> None:
        self.lock = threading.Lock()
        self.closed = False  # nothing is installed any more
        self.unknown_limit = unknown_limit
        # Host header as the client wrote it -> slot. A request reads it without the lock; it is
        # filled without it too, for losing an entry costs one look-up the slow way.
        self.memo: dict[object, Slot] = {}
        self._slots: dict[Path, Slot] = {}
        self._watched: dict[str, Slot] = {}
        self._unknown: dict[Path, Slot] = {}  # oldest first

    def __iter__(self) -> Iterator[Slot]:
        with self.lock:
            return iter(list(self._slots.values()))

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, host: str, path: Path) -> Slot:
        """Return the slot of a vhost directory, a new one where there is none."""
        with self.lock:
            slot = self._slots.get(path)
            if slot is None:
                slot = self._slots[path] = Slot(host, path)
                self._watched[slot.watch_key] = slot
            return slot

    def remember(self, header: str, slot: Slot) -> None:
        """Let ``header`` lead to ``slot`` without being parsed.

        Clients can write any number of them, so when there are many more than slots all go.
        """
        if len(self.memo) >= 2 * len(self._slots) + 256:
            self.memo = {}
        self.memo[header] = slot

    def watched(self, key: str) -> Slot | None:
        """Return the slot that a watcher knows under ``key``."""
        with self.lock:
            return self._watched.get(key)

    def begin(
        self, slot: Slot, timeout: float, *, reload: bool = False
    ) -> tuple[Load | None, bool]:
        """Claim the load of ``slot``: return the load to wait for, and whether it is the caller's.

        None when there is nothing to wait for: something to answer with is there already, or the
        slot was evicted. With ``reload`` what is there does not count, nor does a load that is
        late: it is superseded, and what it brings in the end is dropped.
        """
        with self.lock:
            if self._slots.get(slot.path) is not slot:
                return None, False
            if slot.release is not None and not reload:
                return None, False
            if slot.loading is not None and not (reload and slot.loading.late):
                return slot.loading, False
            if slot.unknown:  # from here on it must not be evicted
                slot.unknown = False
                del self._unknown[slot.path]
            superseded, slot.loading = slot.loading, Load(slot, timeout)
            if superseded is not None:
                superseded.done.set()  # who waits for it waits for the new one instead
            return slot.loading, True

    def install(self, load: Load, release: Release) -> tuple[bool, Release | None]:
        """Make ``release`` the current one; return whether it is, and the one it replaces."""
        with self.lock:
            slot = load.slot
            if slot.loading is not load:
                return False, None
            if self.closed:
                self._end(load)
                return False, None
            old, slot.release = slot.release, release
            slot.state, slot.files = release.state, ()
            self._end(load)
            return True, old if isinstance(old, Release) else None

    def fail(self, load: Load, answer: Answer, files: tuple[str, ...], state: State | None) -> bool:
        """Note a failed attempt; ``answer`` is given where no older release goes on serving."""
        with self.lock:
            slot = load.slot
            if slot.loading is not load:
                return False
            if self.closed:
                self._end(load)
                return False
            if not isinstance(slot.release, Release):
                slot.release = answer
            slot.state, slot.files = state, files
            self._end(load)
            return True

    def forget(
        self, slot: Slot, answer: Answer, load: Load | None = None
    ) -> tuple[Release | None, list[Slot]] | None:
        """Remember that there is no such vhost; return the release it had and the slots evicted.

        ``load`` is the attempt that found it missing, if one did; None when that was superseded.
        """
        with self.lock:
            if load is not None and slot.loading is not load:
                return None
            old, slot.release = slot.release, answer
            slot.state, slot.files = None, ()
            if slot.loading is not None:
                self._end(slot.loading)
            slot.unknown = True
            self._unknown[slot.path] = slot
            evicted = []
            while len(self._unknown) > self.unknown_limit:
                evicted.append(self._unknown.pop(next(iter(self._unknown))))
            for other in evicted:
                del self._slots[other.path]
                del self._watched[other.watch_key]
                other.release = None
            return old if isinstance(old, Release) else None, evicted

    def reset(self, slot: Slot) -> None:
        """Let the next request load the slot: it was unknown and is there now."""
        with self.lock:
            if not isinstance(slot.release, Release):  # a request may have loaded it by now
                slot.release = None

    def _end(self, load: Load) -> None:
        load.slot.loading = None
        load.slot.took = (load.begun, time.time_ns())
        load.done.set()

    def close(self) -> None:
        """Install nothing any more: the router is being shut down."""
        with self.lock:
            self.closed = True

    def rebase(self, slot: Slot, compared: State, state: State) -> None:
        """Replace the state to compare with by a newer one that was found equal to it."""
        with self.lock:
            if slot.state is compared:
                slot.state = state

    def settle(self, slot: Slot, state: State) -> None:
        """After a failed attempt: what is there now is the release that went on serving."""
        with self.lock:
            if slot.loading is None:
                slot.state, slot.files = state, ()

    def after_fork(self) -> None:
        """In a forked child, before any thread of its own: no load goes on, nobody holds the lock.

        A worker process is the parent's, so a release that has one is loaded again.
        """
        self.lock = threading.Lock()
        self.memo = {}  # the next request of each host takes the slow way, which starts the threads
        for slot in self._slots.values():
            slot.loading = None
            if isinstance(slot.release, Release) and slot.release.isolation == "process":
                slot.release = None
