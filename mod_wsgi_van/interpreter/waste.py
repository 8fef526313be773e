"""What retired releases have left in this process, and the thread that sees to it.

What was loaded is frozen soon after, in a moment without a request under way. A release that is
retired is freed at once, alone, by ``Collector.free``. Two things stay. A release that something
still refers to, such as a thread that has not ended: it is tried again, ever more rarely. And
garbage that was frozen because there was no such moment, which nobody knows: after some retirements
a full collection looks for it, in the first second without requests, or at once when the process
has grown by too much.

``van-collect`` lives only while there is something to do, and does all full collections.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mod_wsgi_van.interpreter.collector import Collector, collector

log = logging.getLogger(__name__)

_QUIET = 1.0  # seconds without requests
_PATIENCE = 3600.0  # seconds: the longest pause between two attempts at a release, and the last
_TURNS = 10  # seconds that what was loaded waits for a calm moment to be frozen
_RETIRED = 4  # a full collection is due when one release was retired for so many that live


class Remains(Protocol):
    """What was retired."""

    @property
    def gone(self) -> bool:
        """Whether all of it has been freed."""

    def free(self) -> None:
        """Free what nobody else refers to."""

    def forget(self) -> None:
        """Make what is not frozen forget it; called when nothing is."""


class User(Protocol):
    """Whose releases live in this process."""

    @property
    def share(self) -> float:
        """The part of the process's memory that may be waste while requests keep coming."""

    def idle(self) -> bool:
        """Whether no request has come since this was called last."""

    def calm(self) -> bool:
        """Whether no request is under way."""


@dataclass(slots=True)
class _Rest:
    """Something that was retired and is still there."""

    remains: Remains
    due: float  # monotonic: of the next attempt
    pause: float
    seen: bool = False  # by a full collection


class Waste:
    """Any thread may report a load or a retirement. ``_lock`` guards what is below it."""

    def __init__(self, collector: Collector, quiet: float = _QUIET) -> None:
        self._collector = collector
        self._quiet = quiet  # seconds without requests
        self._news = threading.Event()
        self._lock = threading.Lock()
        self._users: list[User] = []
        self._thread: threading.Thread | None = None
        self._sleeps = False  # the thread does, for longer than a second perhaps
        self._living = 0
        self._retired = 0  # since the last full collection
        self._level = 0  # bytes of the process at the first of these
        self._rests: list[_Rest] = []
        self._hot = 0  # turns since something was loaded that is not frozen yet

    def join(self, user: User) -> None:
        with self._lock:
            self._users.append(user)

    def leave(self, user: User) -> threading.Thread | None:
        """Ask ``user`` nothing any more; return the thread, which ends with the last of them."""
        with self._lock:
            if user in self._users:
                self._users.remove(user)
            if not self._users:
                self._rests = []
                self._news.set()
            return self._thread

    def loaded(self) -> None:
        """A release was loaded: it is frozen soon."""
        with self._lock:
            self._living += 1
            self._hot = self._hot or 1
            self._begin()

    def retired(self, remains: Remains, *, lived: bool = True, now: bool = True) -> None:
        """A release that was reported as loaded was retired, or one failed to load.

        It is freed now, or by some full collection when nobody has it. The caller must not keep
        any part of it.
        """
        with self._lock:
            self._living -= lived
            if not self._retired:
                self._level = _resident()
            self._retired += 1
        if now:
            remains.free()
        with self._lock:
            if now and not remains.gone:
                self._rests.append(_Rest(remains, time.monotonic() + self._quiet, self._quiet))
            if self._due():
                self._begin()

    def after_fork(self) -> None:
        """In a child, which does not have the thread."""
        self._lock, self._news = threading.Lock(), threading.Event()
        self._thread = None

    def _due(self) -> bool:
        """Whether a full collection may find something."""
        return self._retired * _RETIRED > self._living or not all(each.seen for each in self._rests)

    def _begin(self) -> None:
        if not self._users:
            return
        if self._thread is not None:
            if self._sleeps:  # otherwise a storm of news would let no second pass
                self._news.set()
            return
        self._thread = threading.Thread(target=self._work, name="van-collect", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread to be had: at the next retirement perhaps
            self._thread = None

    def _work(self) -> None:
        pause: float | None = self._quiet
        self._idle()  # from here on requests are noticed
        while pause is not None:
            try:
                pause = self._quiet if self._told_within(pause) else self._turn()
            except BaseException:
                log.exception("VAN009: the thread that collects garbage met an error and goes on")

    def _told_within(self, pause: float) -> bool:
        """Wait; return whether something was retired while nothing else was to be done soon."""
        if not self._news.wait(pause):
            return False
        self._idle()
        with self._lock:
            self._news.clear()
            self._sleeps = False
            return bool(self._users)

    def _turn(self) -> float | None:
        """Do what is due; return the seconds until more is, None with nothing left to do."""
        quiet = self._idle()
        if self._users and self._due() and (quiet or self._too_much()):
            self._collect()
        elif self._hot:
            self._freeze()
        now = time.monotonic()
        for rest in [each for each in self._rests if self._users and each.due <= now]:
            rest.remains.free()
            rest.pause *= 2
            rest.due = now + rest.pause
        with self._lock:
            self._rests = [
                each for each in self._rests if not each.remains.gone and each.pause < _PATIENCE
            ]
            if self._users and (self._hot or self._due()):
                return self._quiet
            if self._users and self._rests:
                self._sleeps = True
                return max(self._quiet, min(each.due for each in self._rests) - now)
            self._thread = None
            return None

    def _idle(self) -> bool:
        with self._lock:
            users = list(self._users)
        return False not in [user.idle() for user in users]  # each is asked

    def _freeze(self) -> None:
        """Freeze what was loaded in a calm moment; if none comes for long, in any."""
        frozen = self._collector.freezes
        with self._lock:
            hot, self._hot = self._hot, 0  # what is loaded from here on is not frozen now
        self._collector.freeze(lambda: hot >= _TURNS or self._calm())
        with self._lock:
            if self._collector.freezes == frozen:
                self._hot = hot + 1

    def _calm(self) -> bool:
        with self._lock:
            users = list(self._users)
        return all(user.calm() for user in users)

    def _too_much(self) -> bool:
        with self._lock:
            share = min((user.share for user in self._users), default=1.0)
        size = _resident()
        return size - self._level > share * size

    def _collect(self) -> None:
        with self._lock:
            self._retired = self._hot = 0
            rests = list(self._rests)

        def forget() -> None:
            for each in rests:
                each.remains.forget()

        self._collector.collect(forget)
        for each in rests:
            each.seen = True


def _resident() -> int:
    """Bytes of memory that this process has, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


waste = Waste(collector)  # the process has one, whatever routers there are
