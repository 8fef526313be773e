"""Whoever pauses or runs the garbage collector does not get in another's way."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from mod_wsgi_van.interpreter.collector import Collector

PATIENCE = 30  # seconds
USUAL = 700


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before, enabled = gc.get_threshold(), gc.isenabled()
    gc.set_threshold(USUAL)
    yield
    gc.set_threshold(*before)
    (gc.enable if enabled else gc.disable)()


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
