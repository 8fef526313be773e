"""The garbage collector of this process: who pauses it or runs it in full does so here."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

# The threshold of the youngest generation while collections are paused: never reached.
_NEVER = 2**31 - 1


class Collector:
    """Pauses and runs garbage collection for the whole interpreter; any thread may ask.

    ``_lock`` guards ``_pauses`` and ``_threshold``. ``_running`` is held during a full collection,
    in which applications' finalizers run; so nobody ever waits for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses = 0
        self._threshold = gc.get_threshold()[0]
        self._running = threading.Lock()
        self._wanted = False

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let Python begin no collection until the last of those who paused it has ended.

        It is done by the threshold because applications call ``gc.disable()`` and ``gc.enable()``:
        what they ask for meanwhile stays, and none takes our pause for its own setting.
        """
        with self._lock:
            self._pauses += 1
            if (threshold := gc.get_threshold()[0]) != _NEVER:
                self._threshold = threshold
                gc.set_threshold(_NEVER)
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1
                if self._pauses == 0:
                    self._resume()

    def collect(self) -> None:
        """Run a full collection, or have the thread that runs one now run another after it.

        Python itself ignores a collection that is asked for while one runs.
        """
        self._wanted = True
        while self._wanted and self._running.acquire(blocking=False):
            try:
                self._wanted = False
                gc.collect()
            finally:
                self._running.release()

    def after_fork(self) -> None:
        """In a child, which has none of the threads that paused or collect."""
        self._lock, self._running = threading.Lock(), threading.Lock()
        self._pauses = 0
        self._resume()

    def _resume(self) -> None:
        if gc.get_threshold()[0] == _NEVER:  # else an application has set another meanwhile
            gc.set_threshold(self._threshold)


collector = Collector()  # the interpreter has one, whatever routers there are
