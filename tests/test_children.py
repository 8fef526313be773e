"""What the tests themselves rely on: no process outlives its test, however the test ends."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import children
from tests.support.children import in_child, none_left, runs
from tests.support.waiting import wait


def test_a_child_tells_what_failed_in_it() -> None:
    in_child(os.getpid)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        in_child(lambda: 1 // 0)
    with pytest.raises(AssertionError, match="SystemExit"):
        in_child(lambda: exit(3))


def test_a_child_that_does_not_end_is_killed() -> None:
    with pytest.raises(AssertionError, match=r"did not end within 0\.1 s"):
        in_child(lambda: time.sleep(600), seconds=0.1)


def test_a_process_that_is_left_is_killed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "ENDS_WITHIN", 0.1)
    with pytest.raises(AssertionError, match=r"left behind: .*sleep 600"), none_left():
        left = subprocess.Popen(["sleep", "600"])
    assert not runs(left.pid)
    left.wait()


def test_an_orphan_of_a_test_that_fails_is_killed(tmp_path: Path) -> None:
    with pytest.raises(LookupError), none_left():
        subprocess.run(["sh", "-c", f"sleep 600 & echo $! >{tmp_path / 'pid'}"], check=True)
        orphan = int((tmp_path / "pid").read_text())
        assert runs(orphan)
        raise LookupError
    assert not Path(f"/proc/{orphan}").exists()


def test_a_process_of_before_and_one_that_ends_are_no_matter() -> None:
    with subprocess.Popen(["sleep", "600"]) as before:
        try:
            with none_left():
                ending = subprocess.Popen(["sleep", "0.05"])
            assert runs(before.pid)
            wait(lambda: ending.poll() is not None)
        finally:
            before.kill()


def test_processes_that_end_while_they_are_looked_for_are_no_matter() -> None:
    busy = subprocess.Popen(["sh", "-c", "while :; do sh -c 'true & true & wait'; done"])
    try:
        for _ in range(3000):
            children.descendants(os.getpid())
    finally:
        busy.kill()
        busy.wait()
