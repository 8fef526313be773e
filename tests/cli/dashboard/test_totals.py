"""Counters go on when a process ends, when it is slow, and when a site comes anew."""

from __future__ import annotations

from pathlib import Path

from mod_wsgi_van.cli.dashboard.totals import Totals, counted
from tests.support.daemon import process, site

REQUESTS = ("requests", "a.example")
ONE, TWO = ("/1", 1.0), ("/2", 2.0)


def answer(requests: int) -> dict[tuple[str, ...], float]:
    return counted({"events": {"VAN007": 1}}, [site("a.example", requests=requests)])


def test_what_an_ended_process_counted_is_kept() -> None:
    totals = Totals()
    totals.update({ONE: answer(5), TWO: answer(7)}, ())
    assert totals.sums()[REQUESTS] == 12
    totals.update({TWO: answer(8)}, ())
    totals.update({TWO: answer(8)}, ())
    assert totals.sums()[REQUESTS] == 13
    assert totals.sums()["events", "VAN007"] == 2


def test_a_pid_that_is_used_again_is_another_process() -> None:
    totals = Totals()
    totals.update({ONE: answer(5)}, ())
    totals.update({("/1", 9.0): answer(6)}, ())
    assert totals.sums()[REQUESTS] == 11


def test_a_slow_process_has_not_ended() -> None:
    totals = Totals()
    totals.update({ONE: answer(5)}, ())
    totals.update({}, {"/1"})
    totals.update({ONE: answer(6)}, ())
    assert totals.sums()[REQUESTS] == 6


def test_a_site_that_a_process_counts_anew_goes_on() -> None:
    totals = Totals()
    for requests in (5, 2, 3):
        totals.update({ONE: answer(requests)}, ())
    assert totals.sums()[REQUESTS] == 8


def test_a_site_is_forgotten_with_its_directory(tmp_path: Path) -> None:
    totals = Totals()
    totals.update({ONE: answer(5)}, ())
    totals.update({}, ())
    assert totals.forget({"a.example": str(tmp_path)}) == set()
    assert totals.sums()[REQUESTS] == 5
    assert totals.forget({"a.example": str(tmp_path / "gone")}) == {"a.example"}
    assert totals.sums() == {("events", "VAN007"): 1}


def test_every_counter_of_a_line_is_taken() -> None:
    line = site(
        "a.example",
        requests=9,
        refused={"share": 2},
        reloads={"ok": 3, "failed": 1},
        worker_restarts={"memory_limit": 4},
    )
    assert counted(process(1, events={"VAN002": 6}), [line]) == {
        ("events", "VAN002"): 6,
        ("requests", "a.example"): 9,
        ("refused", "a.example", "share"): 2,
        ("reloads", "a.example", "ok"): 3,
        ("reloads", "a.example", "failed"): 1,
        ("restarts", "a.example", "memory_limit"): 4,
        ("loads", "a.example"): 1,
        ("load_seconds", "a.example"): 0.25,
    }
