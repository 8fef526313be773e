"""Whoever pauses, freezes or runs the garbage collector does not get in another's way."""

from __future__ import annotations

import contextvars
import gc
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mod_wsgi_van.interpreter.collector import Collector
from tests.support.children import in_child

PATIENCE = 30  # seconds
USUAL = 700


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before, enabled = gc.get_threshold(), gc.isenabled()
    gc.set_threshold(USUAL)
    yield
    gc.set_threshold(*before)
    (gc.enable if enabled else gc.disable)()
    gc.unfreeze()


class Cycle:
    """Garbage that only a collection frees; ``end`` is called when one does."""

    def __init__(self, end: Any = lambda: None) -> None:
        self.itself = self
        self.end = end

    def __del__(self) -> None:
        self.end()


def collects_by_itself() -> bool:
    """Whether Python begins a collection when enough objects have been made."""
    seen: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    try:
        kept = [[number] for number in range(20 * USUAL)]
    finally:
        gc.callbacks.remove(note)
    return bool(kept and seen)


def test_the_first_to_end_its_pause_ends_no_other() -> None:
    collector = Collector()
    begun, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        with collector.paused():
            begun.set()
            go_on.wait(PATIENCE)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        with collector.paused():
            go_on.set()
            thread.join(PATIENCE)
            assert not collects_by_itself()
    finally:
        go_on.set()
        thread.join(PATIENCE)
    assert collects_by_itself()


def test_what_an_application_asks_for_during_a_pause_stays() -> None:
    collector = Collector()
    with collector.paused():
        gc.disable()
    assert not gc.isenabled()
    gc.enable()
    with collector.paused():
        gc.set_threshold(5000)
        with collector.paused():
            assert not collects_by_itself()
    assert gc.get_threshold()[0] == 5000


def test_a_threshold_that_was_read_during_a_pause_is_undone_by_the_next() -> None:
    collector = Collector()
    with collector.paused():
        read = gc.get_threshold()
    gc.set_threshold(*read)
    with collector.paused():
        pass
    assert gc.get_threshold()[0] == USUAL


def test_garbage_made_during_a_collection_is_collected_after_it() -> None:
    """Python ignores a collection that is asked for while another runs."""
    collector = Collector()
    found: list[weakref.ref[Cycle]] = []

    def ask_from_a_second_thread() -> None:
        def ask() -> None:
            cycle = Cycle()
            found.append(weakref.ref(cycle))
            del cycle
            collector.collect()

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(PATIENCE)

    Cycle(ask_from_a_second_thread)
    collector.collect()
    assert found and found[0]() is None


def test_a_child_has_no_pause_of_the_parents() -> None:
    collector = Collector()
    pause = collector.paused()
    pause.__enter__()  # of a thread that the child does not have
    assert not collects_by_itself()
    collector.after_fork()
    assert collects_by_itself()


class Part:
    """One of many that refer to each other."""


class Ring:
    """Objects that only a collection frees, and a weak reference to one of them."""

    def __init__(self, more: Callable[[], list[Any]] = list) -> None:
        alive = gc.get_objects()  # kept, or the address of one might be given to another
        self.seen, first = self._made(more())
        self.all: list[Any] = []
        left, known = [first], {id(alive), id(self), id(vars(self)), *map(id, alive)}
        while left:
            if id(one := left.pop()) not in known and gc.is_tracked(one):
                known.add(id(one))
                self.all.append(one)
                left += gc.get_referents(one)

    @staticmethod
    def _made(more: list[Any]) -> tuple[weakref.ref[Any], list[Any]]:
        parts: list[Any] = [Part(), {}, [], *more]
        parts[0].parts, parts[1]["parts"], parts[2][:] = parts, parts, [parts]
        local = type("Local", (), {"parts": parts, "method": lambda self: parts})
        parts += [local, local.method]
        return weakref.ref(local), parts

    def hand_over(self) -> list[Any]:
        given, self.all = self.all, []
        return given


def test_what_is_frozen_is_left_alone_by_collections_but_for_full_ones_of_ours() -> None:
    collector, ring = Collector(), Ring()
    collector.freeze()
    ring.hand_over()
    gc.collect()
    assert ring.seen() is not None
    collector.collect()
    assert ring.seen() is None


def test_nothing_is_frozen_while_no_moment_is_calm() -> None:
    collector, ring = Collector(), Ring()
    ring.hand_over()
    with collector.paused():
        collector.freeze(lambda: False)
        assert ring.seen() is not None, "nor collected"
    gc.collect()
    assert ring.seen() is None and collector.freezes == 0


def test_what_is_garbage_already_is_not_frozen() -> None:
    ring = Ring()
    ring.hand_over()
    Collector().freeze()
    assert ring.seen() is None


def test_what_is_frozen_is_freed_alone() -> None:
    collector, ring, other = Collector(), Ring(), Ring()
    collector.freeze()
    other.hand_over()
    collector.free(ring.hand_over)
    assert ring.seen() is None
    assert other.seen() is not None
    assert not gc.garbage


def test_what_somebody_refers_to_is_not_taken_apart() -> None:
    collector, ring = Collector(), Ring()
    parts = ring.all[0]
    collector.freeze()
    collector.free(ring.hand_over)
    local = ring.seen()
    assert local is not None and local().method() is parts
    assert parts[0].parts is parts and parts[1]["parts"] is parts and parts[2] == [parts]


class Ends:
    """Says what it finds when it ends."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.names = {"value": [1]}

    def __del__(self) -> None:
        self.seen.append(dict(self.names))


def test_finalizers_find_everything_whole() -> None:
    collector, seen = Collector(), list[Any]()
    ring = Ring(lambda: [Ends(seen), Part()])
    reference = weakref.ref(ring.all[0][4], lambda _: seen.append("gone"))
    collector.freeze()
    collector.free(ring.hand_over)
    assert ring.seen() is None and reference() is None
    assert sorted(seen, key=str) == ["gone", {"value": [1]}]


def test_the_contexts_of_threads_are_never_frozen() -> None:
    collector = Collector()
    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
    begun, go_on = threading.Event(), threading.Event()
    value = object()

    def work() -> None:
        variable.set(value)
        begun.set()
        go_on.wait(PATIENCE)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        for freeze in (collector.freeze, collector.freeze, collector.collect):
            freeze()
            contexts = collector.instances(contextvars.Context)
            assert [each for each in contexts if each.get(variable) is value]
    finally:
        go_on.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize("act", ["freeze", "collect"])
def test_what_applications_set_stays(act: str) -> None:
    gc.disable()
    gc.set_threshold(600, 7, 8)
    gc.set_debug(gc.DEBUG_UNCOLLECTABLE)
    try:
        getattr(Collector(), act)()
        Collector().free(Ring().hand_over)
        assert not gc.isenabled()
        assert gc.get_threshold() == (600, 7, 8)
        assert gc.get_debug() == gc.DEBUG_UNCOLLECTABLE
    finally:
        gc.set_debug(0)


def test_a_long_collection_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Collector(long=60).collect()
    assert not caplog.messages
    Collector(long=0.1).collect(lambda: time.sleep(0.2))
    assert len(caplog.messages) == 1 and "VAN028" in caplog.text


def test_garbage_that_is_old_and_refers_to_the_wanted_keeps_it_no_longer() -> None:
    collector, ring = Collector(), Ring()
    collector.freeze()
    other = Ring(lambda: [ring.all[0]])
    gc.collect()  # what is alive is old now
    other.hand_over()
    collector.free(ring.hand_over)
    assert ring.seen() is None and other.seen() is None


def test_to_free_a_release_nothing_else_that_is_old_is_looked_at() -> None:
    collector, ring, old = Collector(), Ring(), Ring()
    gc.collect()
    seen = list[int]()

    def count(phase: str, details: dict[str, int]) -> None:
        seen.append(details["generation"])

    gc.callbacks.append(count)
    try:
        collector.free(ring.hand_over)
    finally:
        gc.callbacks.remove(count)
    assert ring.seen() is None and old.seen() is not None
    assert max(seen) == 1


def test_old_garbage_is_not_frozen() -> None:
    ring = Ring()
    gc.collect()
    ring.hand_over()
    Collector().freeze()
    assert ring.seen() is None


def test_an_audit_hook_gives_no_other_thread_a_broken_tuple() -> None:
    """A hook in Python, for good: in a child. Other threads go on while it runs."""

    def work() -> None:
        sys.addaudithook(lambda event, _: time.sleep(0.001) if event == "gc.get_objects" else None)
        collector, done = Collector(), threading.Event()

        def build() -> None:
            while not done.is_set():
                assert len(tuple(each for each in range(40))) == 40

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        with ThreadPoolExecutor(2) as pool:
            building = [pool.submit(build) for _ in range(2)]
            for _ in range(100):
                assert collector.instances(contextvars.Context) is not None
            done.set()
            for each in building:
                each.result()
        sys.setswitchinterval(interval)

    in_child(work)
