"""The garbage collector of this process: who pauses, freezes or runs it does so here.

A collection stops all threads for as long as it looks at objects, some 0.3 us for each, and only
very few of those in a process of many applications are ever garbage. So what is loaded is frozen:
no collection that an application causes looks at another. What is known to have become garbage is
taken out of the frozen and collected alone. What nobody knows of waits for a full collection.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import operator
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from functools import partial
from typing import Any

from mod_wsgi_van.interpreter.dismantling import dismantle, unreachable
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.interpreter.tracking import rejuvenate

log = logging.getLogger(__name__)

# The threshold of the youngest generation while collections are paused: never reached.
_NEVER = 2**31 - 1

# How often to look for a calm moment, and the seconds between two looks.
_TRIES, _PAUSE = 20, 0.003

Gather = Callable[[], list[Any]]


class Collector:
    """Pauses, freezes and runs garbage collection for the whole interpreter; any thread may ask.

    ``_lock`` guards ``_pauses`` and ``_threshold``. ``_running`` is held by the one thread that
    does the jobs. Applications' finalizers run in these, so nobody ever waits for that lock: who
    finds it taken leaves the job to its holder.
    """

    def __init__(self, long: float = 0.2) -> None:
        self._long = long  # seconds: a full collection that takes longer is logged
        self.freezes = 0  # how often everything was frozen
        self._lock = threading.Lock()
        self._pauses = 0
        self._threshold = gc.get_threshold()[0]
        self._running = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()

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

    def freeze(self, calm: Callable[[], bool] = lambda: True) -> None:
        """Let no collection look at what is there now, unless no moment is found that is calm.

        What a request under way has made would be frozen with the rest, and kept when it is over.
        """
        self._do(partial(self._freeze, calm))

    def free(self, gather: Gather) -> None:
        """Free what ``gather()`` returns as far as nothing else refers to it.

        Only these objects and the youngest are looked at. Whoever asks must not keep any of them.
        """
        self._do(partial(self._free, gather))

    def collect(self, before: Callable[[], None] = lambda: None) -> None:
        """Run a full collection; ``before`` is called when nothing is frozen any more."""
        self._do(partial(self._collect, before))

    def instances(self, kind: type) -> list[Any]:
        """The instances of a type among what is not frozen, and all contexts of this process.

        Two ways are wrong. Whoever lists all objects while other threads run refers to a tuple that
        one of them is just building, and breaks it ("bad argument to internal function",
        bpo-15108). And gc.get_referrers() misses what is written to meanwhile. So one call of C
        code makes the list, sifts it and drops it. No Python code runs in that call and, since it
        is paused, no collection (Python 3.11 collects while it allocates): no other thread gets
        its turn. The youngest generation comes first, because objects only move to an older one.
        """
        with self.paused():
            return [found for number in range(3) for _, found in list(_sifted(kind, number))]

    def after_fork(self) -> None:
        """In a child, which has none of the threads that paused or collect."""
        self._lock, self._running = threading.Lock(), threading.Lock()
        self._jobs = deque()
        self._pauses = 0
        self._resume()

    def _do(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        while self._jobs and self._running.acquire(blocking=False):
            try:
                while self._jobs:
                    self._jobs.popleft()()
            finally:
                self._running.release()

    def _freeze(self, calm: Callable[[], bool]) -> None:
        for _ in range(_TRIES):
            if calm() and _collected() and calm():
                contexts = self.instances(Context)
                gc.freeze()
                rejuvenate(contexts)  # those of the server's threads have to be found
                self.freezes += 1
                return
            time.sleep(_PAUSE)

    def _free(self, gather: Gather) -> None:
        # A collection by Python would move what is gathered to an older generation.
        with self.paused(), hurry.during(self):
            # What is garbage already may refer to what is wanted. It is hardly ever old, but the
            # last load is, which is not frozen yet.
            for generation in (1, 2):
                gc.collect(generation)
                wanted = gather()
                rejuvenate(wanted)
                enough = len(wanted) // 2
                del wanted
                garbage = unreachable()
                found = len(garbage)
                dismantle(garbage)
                if found >= enough:
                    break
            gc.collect(1)

    def _collect(self, before: Callable[[], None]) -> None:
        began = time.monotonic()
        gc.unfreeze()
        before()
        freed = gc.collect()
        self._freeze(lambda: True)
        gc.collect()  # the next one by Python comes when a quarter of what this one finds is new
        took = time.monotonic() - began
        if took > self._long:
            log.info(
                "VAN028: all sites waited %.2f s for a collection of garbage, which freed %d"
                " objects; a site of its own worker process takes no part in one",
                took,
                freed,
            )

    def _resume(self) -> None:
        if gc.get_threshold()[0] == _NEVER:  # else an application has set another meanwhile
            gc.set_threshold(self._threshold)


def _collected() -> bool:
    """What is garbage already would be frozen and kept, and what that refers to. A load leaves old
    garbage too: errors of imports that it tried, whose tracebacks lead to all of the release."""
    gc.collect()
    return True


def _sifted(kind: type, generation: int) -> Iterator[tuple[bool, Any]]:
    """The instances of ``kind`` in a generation, for one call to exhaust.

    The objects are listed once, for an audit hook runs before each list is made, in Python perhaps,
    and other threads get their turns. The list is read twice: for the types and for the objects.
    It contains the iterators that read it: a reference cycle, which would keep all objects until
    the next collection. An iterator drops its list at the end of it, so all are read to their ends.
    """
    chained = itertools.chain.from_iterable
    lists = chained(map(itertools.repeat, map(gc.get_objects, (generation,)), (2,)))
    types = map(type, chained(itertools.islice(lists, 1)))
    are = map(operator.is_, types, itertools.repeat(kind))
    return filter(operator.itemgetter(0), itertools.zip_longest(are, chained(lists)))


collector = Collector()  # the interpreter has one, whatever routers there are
