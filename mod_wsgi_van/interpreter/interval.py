"""While a vhost is loaded or polled, threads that compute give the GIL away sooner.

A load is some hundred short waits, for files and for other threads, and after each it waits until
the threads that compute have had their turns of 5 ms. With four of them a trivial application took
1.3 s from the swap to its first answer, with turns of half a millisecond 0.27 s; those threads get
7 % less done meanwhile. A poller's sweep over 10,000 vhosts took 25 s, and so 2 s.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

INTERVAL = 0.0005  # seconds


class Hurry:
    """On while it has owners; any thread may begin and end, an owner's second end does nothing.

    ``_lock`` guards the rest. An application may set an interval of its own meanwhile: it stays.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: set[object] = set()
        self._before: float | None = None

    def begin(self, owner: object) -> None:
        with self._lock:
            before = sys.getswitchinterval()
            if not self._owners and before > INTERVAL:
                self._before = before
                sys.setswitchinterval(INTERVAL)
            self._owners.add(owner)

    def end(self, owner: object) -> None:
        with self._lock:
            self._owners.discard(owner)
            if not self._owners:
                self._restore()

    @contextlib.contextmanager
    def during(self, owner: object) -> Iterator[None]:
        self.begin(owner)
        try:
            yield
        finally:
            self.end(owner)

    def after_fork(self) -> None:
        """In a child, which has none of the threads that began."""
        self._lock = threading.Lock()
        self._owners.clear()
        self._restore()

    def _restore(self) -> None:
        before, self._before = self._before, None
        if before is not None and abs(sys.getswitchinterval() - INTERVAL) < 1e-6:
            sys.setswitchinterval(before)


hurry = Hurry()  # the interval is the interpreter's, whatever routers there are
