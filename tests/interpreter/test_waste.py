"""What retired releases leave is freed when nobody waits, by one thread that lives no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from mod_wsgi_van.interpreter.collector import Collector
from mod_wsgi_van.interpreter.waste import Waste
from tests.support.threads import in_threads
from tests.support.waiting import wait

QUIET = 0.1  # seconds


class Counting(Collector):
    """Counts full collections in place of running them."""

    def __init__(self) -> None:
        super().__init__()
        self.full = 0

    def freeze(self, calm: Callable[[], bool] = lambda: True) -> None:
        self.freezes += calm()

    def collect(self, before: Callable[[], None] = lambda: None) -> None:
        before()
        self.full += 1


@dataclass(eq=False)
class Server:
    """Has requests until it is told otherwise, but a moment between two of them."""

    share: float = 1.0
    busy: bool = True
    between: bool = True
    asked: int = 0

    def idle(self) -> bool:
        self.asked += 1
        return not self.busy

    def calm(self) -> bool:
        return self.between


@dataclass(eq=False)
class Release:
    """Is gone when it was freed for the ``frees``-th time, or forgotten."""

    frees: int = 1
    tried: int = 0
    forgotten: int = 0
    gone: bool = False
    threads: set[str] = field(default_factory=set)

    def free(self) -> None:
        self.tried += 1
        self.threads.add(threading.current_thread().name)
        self.gone = self.gone or self.tried >= self.frees

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def collector() -> Counting:
    return Counting()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def waste(collector: Counting, server: Server) -> Iterator[Waste]:
    made = Waste(collector, QUIET)
    made.join(server)
    yield made
    thread = made.leave(server)
    if thread is not None:
        thread.join(20)
        assert not thread.is_alive()


def at_work() -> int:
    return [each.name for each in threading.enumerate()].count("van-collect")


def test_a_release_that_goes_at_once_wakes_nobody(
    waste: Waste, server: Server, collector: Counting
) -> None:
    for _ in range(100):
        waste.loaded()
    wait(lambda: at_work() == 0)
    asked = server.asked
    for _ in range(20):
        waste.retired(Release())
    assert at_work() == 0 and server.asked == asked and collector.full == 0


def test_what_is_loaded_is_frozen_once_and_then_there_is_rest(
    waste: Waste, server: Server, collector: Counting
) -> None:
    for _ in range(100):
        waste.loaded()
    wait(lambda: at_work() == 0)
    assert 1 <= collector.freezes < 100 and collector.full == 0


def test_a_moment_between_two_requests_is_waited_for(
    waste: Waste, server: Server, collector: Counting
) -> None:
    server.between = False
    waste.loaded()
    wait(lambda: server.asked > 5)
    assert collector.freezes == 0
    server.between = True
    wait(lambda: at_work() == 0)
    assert collector.freezes == 1


def test_without_such_a_moment_it_is_frozen_after_a_while(
    waste: Waste, server: Server, collector: Counting
) -> None:
    server.between = False
    waste.loaded()
    wait(lambda: at_work() == 0)
    assert collector.freezes == 1


def test_a_full_collection_waits_for_a_moment_without_requests(
    waste: Waste, server: Server, collector: Counting
) -> None:
    waste.loaded()
    waste.retired(Release())
    wait(lambda: server.asked > 5)
    assert collector.full == 0 and at_work() == 1
    server.busy = False
    wait(lambda: at_work() == 0)
    assert collector.full == 1


def test_a_full_collection_comes_at_once_when_the_process_has_grown(
    collector: Counting,
) -> None:
    server = Server(share=0.0)
    waste = Waste(collector, QUIET)
    waste.join(server)
    waste.loaded()
    waste.retired(Release())
    grown = bytearray(30_000_000)
    wait(lambda: collector.full == 1)
    wait(lambda: at_work() == 0)
    assert grown and waste.leave(server) is None


def test_what_is_left_is_tried_again_and_forgotten(
    waste: Waste, server: Server, collector: Counting
) -> None:
    for _ in range(100):
        waste.loaded()
    release = Release(frees=3)
    waste.retired(release)
    assert release.tried == 1
    wait(lambda: release.gone)
    wait(lambda: at_work() == 0)
    assert release.threads == {threading.current_thread().name, "van-collect"}
    assert collector.full == 0  # never was there a moment without requests


def test_what_a_full_collection_did_not_free_causes_no_other(
    waste: Waste, server: Server, collector: Counting
) -> None:
    server.busy = False
    for _ in range(100):
        waste.loaded()
    release = Release(frees=5)
    waste.retired(release)
    wait(lambda: release.gone)
    wait(lambda: at_work() == 0)
    assert collector.full == 1 and release.forgotten == 1


def test_news_end_a_long_sleep(waste: Waste, server: Server, collector: Counting) -> None:
    server.busy = False
    for _ in range(100):
        waste.loaded()
    waste.retired(Release(frees=1000))
    wait(lambda: collector.full == 1)
    wait(lambda: waste._sleeps)
    waste.retired(Release(frees=2))
    wait(lambda: collector.full == 2)


def test_there_is_one_thread(waste: Waste, server: Server, collector: Counting) -> None:
    in_threads(8, lambda number: [waste.retired(Release(), now=False) for _ in range(50)])
    assert at_work() == 1
    server.busy = False
    wait(lambda: collector.full > 0)


def test_with_the_last_user_everything_ends(collector: Counting) -> None:
    waste, one, two = Waste(collector, 60), Server(), Server()
    waste.join(one)
    waste.join(two)
    waste.retired(Release())
    assert at_work() == 1
    thread = waste.leave(one)
    assert thread is not None and thread.is_alive()
    waste.leave(two)
    thread.join(20)
    assert not thread.is_alive() and collector.full == 0
    waste.retired(Release())
    assert at_work() == 0


def test_a_forked_child_starts_a_thread_of_its_own(
    waste: Waste, server: Server, collector: Counting
) -> None:
    waste.retired(Release())
    parents = waste._thread
    waste.after_fork()  # a child does not have the thread
    waste.retired(Release())
    assert waste._thread not in (None, parents)
    waste.leave(server)
    wait(lambda: at_work() == 0)
