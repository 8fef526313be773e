"""The walk: all is polled in every round and measured in rotation; the sweep; nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path

import pytest

from mod_wsgi_van.files.version import Version
from mod_wsgi_van.reload.errands import Back, Done, Errand, Errands
from mod_wsgi_van.reload.looks import Looks, Seen
from mod_wsgi_van.reload.mailbox import Mailbox
from mod_wsgi_van.reload.walk import POLL_SHARE, Walk
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.site import Site
from tests.support.links import swap
from tests.support.waiting import DEADLINE, wait
from tests.watch.probe import Probe, Targets, next_tick, release

LATE = 1e12  # by this clock everything is due that ever will be
NO_TIME = 1e-9  # seconds between two rounds, of which none is left for measuring: one site is


class Counting(Targets):
    """Counts how often each site is measured; ``before`` may take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.measured: Counter[str] = Counter()
        self.before: Callable[[str], object] = lambda host: None

    def get_version(self, path: Path) -> Version:
        self.measured[path.name] += 1
        self.before(path.name)
        return super().get_version(path)


class Counted(Errands):
    """Knows what is under way."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox)
        self.under_way = 0

    def put(self, errand: Errand) -> None:
        self.under_way += 1
        super().put(errand)

    def done(self) -> None:
        self.under_way -= 1
        super().done()


class Walking:
    """A walk over sites that are polled, step by step, by a clock of the test's own."""

    def __init__(self, directory: Path, *, watch: str = "polling") -> None:
        self.targets = Counting()
        self.probe = Probe(directory, targets=self.targets, setting=watch)
        self.probe.watcher.start()
        self.errands = Counted(self.probe.mailbox)
        self.seen: Counter[str] = Counter()
        self.pace(poll=NO_TIME)

    def pace(self, *, poll: float, sweep: float = 0.0) -> None:
        parts = self.probe.parts
        settings = Settings(update_interval=poll, sweep_interval=sweep)
        self.walk = Walk(parts, Looks(parts, self.errands), self.errands, settings)

    def stop(self) -> None:
        self.errands.stop()
        self.probe.stop()

    def add(self, host: str, wsgi: Path) -> Site:
        site = self.probe.register(host, wsgi)
        self.probe.watcher.arm(site.key, self.targets.target(site.path))
        site.state = self.probe.loader.measure(site.path)
        self.targets.measured.clear()
        return site

    def step(self) -> int:
        """Take what is due and see it through; return how many errands that were."""
        self.walk.step(LATE)
        errands = self.errands.under_way
        end = time.monotonic() + DEADLINE
        while self.errands.under_way:
            assert time.monotonic() < end
            for letter in self.probe.mailbox.take(0.01):
                self.take(letter)
            self.errands.check(time.monotonic())
        return errands

    def take(self, letter: object) -> None:
        if isinstance(letter, Done):
            self.errands.done()
            self.walk.done(letter.errand)
        elif isinstance(letter, Back):
            self.errands.back(letter)
        elif isinstance(letter, Seen):
            self.seen[letter.site.host] += 1
            letter.site.state = letter.state


@pytest.fixture
def walking(tmp_path: Path) -> Iterator[Walking]:
    walking = Walking(tmp_path / "sentinel")
    yield walking
    walking.stop()


def many(walking: Walking, directory: Path, count: int) -> list[str]:
    """So many hosts that lead to one release."""
    release(directory / ".builds/1")
    hosts = [f"host{number}" for number in range(count)]
    for host in hosts:
        (directory / host).symlink_to(".builds/1")
        walking.add(host, directory / host / "wsgi")
    return hosts


def rounds(walking: Walking, count: int, sites: int) -> None:
    """A round: a step for few sites, and then what is measured in rotation."""
    assert sites <= 250
    for _ in range(count * 2):
        assert walking.step() == 1


def test_swaps_are_seen_in_each_round_and_edits_in_rotation(
    walking: Walking, tmp_path: Path
) -> None:
    """Without a share of the core all are looked at, and one is measured."""
    hosts = many(walking, tmp_path, 50)
    release(tmp_path / ".builds/new")
    for host in hosts:
        swap(tmp_path / host, ".builds/new")
    rounds(walking, 1, 50)
    assert walking.seen == Counter(hosts)
    walking.seen.clear()
    rounds(walking, 50, 50)
    walking.targets.measured.clear()
    assert not walking.seen
    next_tick()
    (tmp_path / ".builds/new/wsgi/package/__init__.py").write_text("x = 1\n")
    rounds(walking, 50, 50)
    assert walking.seen == Counter(hosts)
    assert walking.targets.measured == Counter(hosts)


def test_the_rotation_keeps_to_its_share_and_goes_on_where_it_was(
    walking: Walking, tmp_path: Path
) -> None:
    hosts = many(walking, tmp_path, 20)

    def compute(host: str) -> None:
        end = time.thread_time() + 0.004
        while time.thread_time() < end:
            pass

    walking.targets.before = compute
    walking.pace(poll=0.02 / POLL_SHARE)  # 0.02 s in every round
    rounds(walking, 1, 20)
    first = Counter(walking.targets.measured)
    assert 1 <= first.total() <= 6
    for _ in range(20):
        if walking.targets.measured.total() < 20:
            rounds(walking, 1, 20)
    assert set(walking.targets.measured) == set(hosts)
    assert set(walking.targets.measured.values()) == {1}


def test_with_room_for_all_each_is_measured_in_every_round(
    walking: Walking, tmp_path: Path
) -> None:
    hosts = many(walking, tmp_path, 20)
    walking.pace(poll=60.0)
    rounds(walking, 3, 20)
    assert walking.targets.measured == Counter(hosts * 3)
    assert not walking.seen


def test_a_touch_is_seen_at_once(walking: Walking, tmp_path: Path) -> None:
    many(walking, tmp_path, 1)
    os.utime(tmp_path / ".builds/1/wsgi", ns=(1, 1))
    walking.step()
    assert walking.seen == {"host0": 1}


def test_the_next_round_begins_an_interval_after_the_last(walking: Walking, tmp_path: Path) -> None:
    many(walking, tmp_path, 1)
    walking.pace(poll=60.0)
    begin = time.monotonic()
    rounds(walking, 1, 1)
    due = walking.walk.next_due()
    assert due is not None
    assert begin + 60.0 <= due
    walking.walk.step(due - 1.0)
    assert walking.errands.under_way == 0


def test_nothing_is_due_where_nothing_is_polled(tmp_path: Path) -> None:
    walking = Walking(tmp_path / "sentinel", watch="inotify")
    try:
        many(walking, tmp_path, 1)
        assert walking.walk.next_due() in (None, inf)
        walking.walk.step(LATE)
        assert walking.errands.under_way == 0
        assert walking.probe.mailbox.rest() == []
    finally:
        walking.stop()


def test_a_round_ends_although_nothing_is_polled_any_more(walking: Walking, tmp_path: Path) -> None:
    """A due time in the past that nobody acts on would have the reload thread turn for ever."""
    many(walking, tmp_path, 1)
    walking.step()
    assert walking.walk.next_due() not in (None, inf)
    walking.probe.watcher.remove(walking.probe.sites_by_key["host0"].key)
    turns = 0
    while walking.walk.next_due() not in (None, inf):
        walking.step()
        turns += 1
        assert turns < 5
    walking.add("host1", tmp_path / "host0/wsgi")
    assert walking.walk.next_due() not in (None, inf)


def test_an_evicted_site_is_polled_no_more(walking: Walking, tmp_path: Path) -> None:
    many(walking, tmp_path, 2)
    walking.probe.watcher.arm("evicted", walking.targets.target(Path("/host0")))
    assert "evicted" in walking.probe.watcher.polled()
    rounds(walking, 1, 2)
    assert "evicted" not in walking.probe.watcher.polled()
    assert len(walking.probe.watcher.polled()) == 2


def test_the_sweep_measures_all_and_rests(tmp_path: Path) -> None:
    walking = Walking(tmp_path / "sentinel", watch="inotify")
    try:
        hosts = many(walking, tmp_path, 50)
        (tmp_path / ".builds/1/wsgi/app.py").write_text("x = 1\n")
        walking.pace(poll=60.0, sweep=30.0)
        due = walking.walk.next_due()
        assert due is not None
        assert due > time.monotonic() + 20.0
        for _ in range(3):
            walking.step()
        assert walking.targets.measured == Counter(hosts)
        assert walking.seen == Counter(hosts)
        walking.walk.step(LATE)  # finds that it is over
        due = walking.walk.next_due()
        assert due is not None
        assert due > time.monotonic() + 20.0
    finally:
        walking.stop()


def test_sites_on_a_file_system_that_does_not_answer_are_left_out(
    walking: Walking, tmp_path: Path
) -> None:
    many(walking, tmp_path, 3)
    elsewhere = walking.probe.sites_by_key["host2"]
    go, inside = threading.Event(), threading.Event()

    def hang(host: str) -> None:
        if host == "host0":
            inside.set()
            go.wait(DEADLINE)

    walking.targets.before = hang
    try:
        os.utime(tmp_path / ".builds/1/wsgi", ns=(1, 1))
        walking.step()
        assert inside.is_set()
        state = elsewhere.state
        assert state is not None
        assert state.identity is not None
        elsewhere.state = replace(state, identity=(0, *state.identity[1:]))
        walking.targets.measured.clear()
        walking.pace(poll=60.0)
        rounds(walking, 1, 1)
        assert walking.targets.measured == {"host2": 1}
    finally:
        go.set()
    wait(partial(came_back, walking))
    walking.targets.measured.clear()
    walking.pace(poll=60.0)
    rounds(walking, 1, 3)
    assert set(walking.targets.measured) == {"host0", "host1", "host2"}


def came_back(walking: Walking) -> bool:
    for letter in walking.probe.mailbox.rest():
        walking.take(letter)
    return not walking.errands.silent_devices()
