"""What only polling has: sweeps, and what they cost."""

from __future__ import annotations

import os
from pathlib import Path

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch.polling import Polling
from tests.support.links import swap
from tests.watch.probe import Reports, release


def _polling(reports: Reports, share: float = 100.0) -> Polling:
    """Not started: the tests sweep themselves."""
    return Polling(reports, ignore=Ignore(), update_interval=1.0, share=share)


def test_a_new_key_is_not_reported(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    polling.add("host", Target(str(release(tmp_path / "host"))))
    for _ in range(3):
        polling.sweep()
    assert not reports.counts


def test_a_change_before_the_first_sweep(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    wsgi = release(tmp_path / "host")
    polling.add("host", Target(str(wsgi)))
    (wsgi / "package/__init__.py").write_text("x = 1\n")
    polling.sweep()
    assert reports.counts == {"host": 1}


def test_a_missing_path_is_reported_when_it_appears(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    polling.add("host", Target(str(tmp_path / "host/wsgi"), tree=False))
    polling.sweep()
    assert not reports.counts
    release(tmp_path / "host")
    polling.sweep()
    polling.sweep()
    assert reports.counts == {"host": 1}


def test_a_change_between_two_sweeps(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    wsgi = release(tmp_path / "host")
    polling.add("host", Target(str(wsgi)))
    polling.sweep()
    (wsgi / "package/__init__.py").write_text("x = 1\n")
    polling.sweep()
    polling.sweep()
    assert reports.counts == {"host": 1}


def test_swaps_are_seen_in_each_sweep_and_edits_in_rotation(tmp_path: Path) -> None:
    """Without a share of the core, a sweep still looks at all and measures some."""
    reports = Reports()
    polling = _polling(reports, share=0.0)
    for number in range(20):
        release(tmp_path / f".builds/{number}")
        (tmp_path / f"host{number}").symlink_to(f".builds/{number}")
        polling.add(f"host{number}", Target(str(tmp_path / f"host{number}/wsgi")))
    release(tmp_path / ".builds/new")
    for number in range(20):
        swap(tmp_path / f"host{number}", ".builds/new")
    polling.sweep()
    assert reports.counts == {f"host{number}": 1 for number in range(20)}
    reports.counts.clear()
    (tmp_path / ".builds/new/wsgi/package/__init__.py").write_text("x = 1\n")
    for _ in range(40):  # the rotation under way and a whole one
        polling.sweep()
    assert reports.counts == {f"host{number}": 1 for number in range(20)}


def test_an_unreadable_vhost_is_a_state_like_any_other(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    wsgi = tmp_path / "host/wsgi"
    wsgi.parent.mkdir()
    wsgi.write_text("not a directory")
    polling.add("host", Target(str(wsgi)))
    for _ in range(3):
        polling.sweep()
    assert not reports.counts
    wsgi.unlink()
    polling.sweep()
    assert reports.counts == {"host": 1}


def test_removed_during_a_sweep(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    for key in ("one", "two"):
        polling.add(key, Target(str(release(tmp_path / key))))
        (tmp_path / key / "wsgi/app.py").unlink()
    reports.action = lambda: [polling.remove(key) for key in ("one", "two")] and None
    polling.sweep()
    assert sum(reports.counts.values()) == 1


def test_touch(tmp_path: Path) -> None:
    reports = Reports()
    polling = _polling(reports)
    wsgi = release(tmp_path / "host")
    polling.add("host", Target(str(wsgi)))
    polling.sweep()
    os.utime(wsgi, ns=(1, 1))
    polling.sweep()
    assert reports.counts == {"host": 1}
