"""Errands to the file system: a site that hangs holds up no other, and each is asked once."""

from __future__ import annotations

import logging
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.reload.errands import SILENT, Back, Done, Errand, Errands
from mod_wsgi_van.reload.mailbox import Mailbox
from mod_wsgi_van.sites.site import Site
from tests.support.children import in_child, without_privileges
from tests.support.waiting import DEADLINE, wait

PATIENCE = 0.05


class Desk:
    """Errands, the part of the reload thread that sees to them, and sites that can hang."""

    def __init__(self, *, most_left: int = 32, patience: float = PATIENCE) -> None:
        self.mailbox = Mailbox()
        self.errands = Errands(self.mailbox, patience=patience, most_left=most_left)
        self.visits: Counter[str] = Counter()
        self.letters: list[object] = []
        self.silent: list[str] = []
        self.sites: list[Site] = []
        self.turns = 0
        self.go = threading.Event()
        self.hanging: set[str] = set()
        self.inside: set[str] = set()

    def put(self, *hosts: str, **limits: float) -> Errand:
        sites = [Site(host, Path("/", host)) for host in hosts]
        self.sites += sites
        errand = Errand(iter(sites), self.visit, **limits)
        self.errands.put(errand)
        return errand

    def visit(self, site: Site) -> str | None:
        self.visits[site.host] += 1
        if site.host in self.hanging:
            self.inside.add(site.host)
            self.go.wait(DEADLINE)
        elif site.host.startswith("raises"):
            raise SystemExit(site.host)
        return site.host if site.host.startswith("tells") else None

    def run(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not until():
            now = time.monotonic()
            assert now < end, "not within the deadline"
            due = self.errands.next_due()
            for letter in self.mailbox.take(min(0.05, max(0.0, (due or end) - now))):
                self.letters.append(letter)
                if isinstance(letter, Done):
                    self.errands.done()
                elif isinstance(letter, Back):
                    self.errands.back(letter)
            self.turns += 1
            self.silent += [site.host for site in self.errands.check(time.monotonic())]

    def count(self, kind: type) -> int:
        return sum(isinstance(letter, kind) for letter in self.letters)


@pytest.fixture
def opened() -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def open_desk(**limits: Any) -> Desk:
        desks.append(Desk(**limits))
        return desks[-1]

    yield open_desk
    for desk in desks:
        desk.go.set()
        desk.errands.stop()


@pytest.fixture
def desk(opened: Callable[..., Desk]) -> Desk:
    return opened()


def files_threads() -> int:
    return sum(thread.name == "van-files" for thread in threading.enumerate())


def test_in_order_by_one_thread_and_each_letter_once(desk: Desk) -> None:
    interval = sys.getswitchinterval()
    for number in range(50):
        desk.put(f"tells{number}", f"{number}")
    desk.run(lambda: desk.count(Done) == 50)
    assert [letter for letter in desk.letters if isinstance(letter, str)] == [
        f"tells{number}" for number in range(50)
    ]
    assert set(desk.visits.values()) == {1}
    assert files_threads() == 1
    assert desk.errands.next_due() is None
    assert sys.getswitchinterval() == interval


def test_one_that_hangs_is_left_and_the_others_go_on(desk: Desk) -> None:
    desk.hanging = {"hangs"}
    hosts = [f"tells{number}" for number in range(20)]
    first = desk.put(*hosts[:10], "hangs", *hosts[10:])
    second = desk.put("tells-more")
    desk.run(lambda: desk.count(Done) == 2)
    assert [each.errand for each in desk.letters if isinstance(each, Done)] == [second, first]
    assert desk.visits == Counter([*hosts, "hangs", "tells-more"])
    assert files_threads() == 2
    assert desk.count(Back) == 0
    desk.go.set()
    desk.run(lambda: desk.count(Back) == 1)
    assert desk.count(Done) == 2
    wait(lambda: files_threads() == 1)
    assert desk.errands.next_due() is None


def test_the_last_site_of_an_errand_hangs(desk: Desk) -> None:
    desk.hanging = {"hangs"}
    desk.put("one", "hangs")
    desk.run(lambda: desk.count(Done) == 1)
    desk.go.set()
    desk.run(lambda: desk.count(Back) == 1)
    desk.put("two")
    desk.run(lambda: desk.count(Done) == 2)
    assert desk.visits == Counter(["one", "hangs", "two"])


def test_while_a_site_hangs_nothing_turns(desk: Desk) -> None:
    desk.hanging = {"hangs"}
    site = Site("hangs", Path("/hangs"))
    desk.errands.put(Errand(iter([site]), desk.visit))
    desk.run(lambda: desk.count(Done) == 1)
    assert desk.errands.absent(site)
    due = desk.errands.next_due()
    assert due is not None
    assert due > time.monotonic() + SILENT / 2
    assert desk.turns < 20
    assert desk.errands.check(due - 0.01) == []
    assert desk.errands.check(due) == [site]
    assert desk.errands.check(due + 60) == []  # said once
    assert desk.errands.next_due() is None
    desk.go.set()
    desk.run(lambda: desk.count(Back) == 1)
    assert not desk.errands.absent(site)


def test_two_threads_hang_at_one_site(desk: Desk) -> None:
    """The second was sent before the first was late; each is known until it is back."""
    site = Site("hangs", Path("/hangs"))
    gates = [threading.Event(), threading.Event()]
    turn = iter(gates)
    for _ in gates:
        desk.errands.put(Errand(iter([site]), lambda site: next(turn).wait(DEADLINE) and None))
    desk.run(lambda: desk.count(Done) == 2)
    for number, gate in enumerate(gates):
        assert desk.errands.absent(site)
        gate.set()
        desk.run(lambda number=number: desk.count(Back) == number + 1)
    assert not desk.errands.absent(site)


def test_only_so_many_threads_are_left(opened: Callable[..., Desk]) -> None:
    desk = opened(most_left=3)
    desk.hanging = {f"hangs{number}" for number in range(6)}
    for host in sorted(desk.hanging):
        desk.put(host)
    desk.put("free")
    desk.run(lambda: len(desk.inside) == 4)
    turns = desk.turns
    begin = time.monotonic()
    desk.run(lambda: time.monotonic() > begin + 5 * PATIENCE)
    assert desk.turns < turns + 20
    assert (files_threads(), desk.visits["free"]) == (4, 0)
    desk.go.set()
    desk.run(lambda: desk.count(Done) == 7 and files_threads() == 1)
    assert not any(map(desk.errands.absent, desk.sites))
    assert set(desk.visits.values()) == {1}
    assert desk.errands.next_due() is None


def test_one_that_raises(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        desk.put("one", "raises", "two")
        desk.run(lambda: desk.count(Done) == 1)
    assert set(desk.visits) == {"one", "raises", "two"}
    assert caplog.text.count("VAN009") == 1
    assert "raises" in caplog.text


def test_an_errand_ends_when_its_sites_have_cost_enough(desk: Desk) -> None:
    hosts = [str(number) for number in range(5)]
    desk.put(*hosts, budget=0.0)
    desk.put(*hosts, until=0.0)
    desk.run(lambda: desk.count(Done) == 2)
    assert desk.visits == {"0": 2}


def test_the_end_does_not_wait_for_who_hangs(desk: Desk) -> None:
    desk.hanging = {"hangs", "hangs-too"}
    desk.put("hangs", "hangs-too", "never")
    desk.run(lambda: len(desk.inside) == 2)
    begin = time.monotonic()
    desk.errands.stop()
    assert time.monotonic() < begin + DEADLINE / 2
    assert files_threads() == 2
    desk.go.set()
    wait(lambda: files_threads() == 0)
    assert desk.visits["never"] == 0


def test_hammered_with_sites_that_hang_for_a_while(opened: Callable[..., Desk]) -> None:
    """Whatever is late and comes back at any moment: every site once, every errand once."""
    desk = opened(patience=0.002, most_left=8)
    visited: Counter[int] = Counter()

    def visit(site: Site) -> None:
        visited[int(site.host)] += 1
        if int(site.host) % 7 == 0:
            threading.Event().wait(0.002)

    for errand in range(50):
        sites = [Site(str(10 * errand + number), Path("/x")) for number in range(10)]
        desk.errands.put(Errand(iter(sites), visit))
    desk.run(lambda: desk.count(Done) == 50)
    assert visited == Counter(range(500))
    begin = time.monotonic()
    wait(lambda: files_threads() == 1)
    desk.run(lambda: time.monotonic() > begin + 0.05)
    assert desk.errands.next_due() is None
    assert desk.count(Done) == 50


def test_no_thread_to_be_had() -> None:
    def test() -> None:
        without_privileges()
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        desk = Desk()
        desk.put("one")
        begin = time.monotonic()
        desk.run(lambda: time.monotonic() > begin + 5 * PATIENCE)
        assert desk.turns < 20, desk.turns
        assert not desk.visits
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        desk.run(lambda: desk.count(Done) == 1)
        assert desk.visits == {"one": 1}
        desk.errands.stop()

    in_child(test)
