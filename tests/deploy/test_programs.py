"""Programs that a deploy runs, and what is left of them."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from mod_wsgi_van.deploy import programs
from mod_wsgi_van.deploy.failure import DeployFailed
from tests.support.waiting import wait


def run(path: Path, code: str, seconds: float = 60) -> str:
    return programs.run([sys.executable, "-c", code], path, {}, seconds)


def test_what_it_writes_is_told_and_the_last_lines_where_it_fails(tmp_path: Path) -> None:
    assert run(tmp_path, "import os; print(os.getcwd())") == str(tmp_path)
    with pytest.raises(DeployFailed, match=r"status 3\nlast\\x1b\Z"):
        run(tmp_path, "import sys; print('last' + chr(27)); sys.exit(3)")
    with pytest.raises(DeployFailed, match="/missing cannot be run"):
        programs.run([str(tmp_path / "missing")], tmp_path, {}, 1)


def test_it_has_a_limit_of_time(tmp_path: Path) -> None:
    code = "import os, time; p = os.fork(); print(p, flush=True) if p else time.sleep(600)"
    with pytest.raises(DeployFailed, match="has not ended within 1 s"):
        run(tmp_path, code, 1)


def test_it_ends_with_a_deploy_that_is_killed(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            run(
                tmp_path,
                "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)",
            )
        finally:
            os._exit(0)
    file = tmp_path / "pid"
    its = int(wait(lambda: file.exists() and file.read_text(), "it runs"))
    ending = os.pidfd_open(its)
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert select.select([ending], [], [], 60)[0]
    finally:
        os.close(ending)


def test_nothing_of_roots_reaches_who_has_another_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("PYTHONPATH", "x")
    monkeypatch.setenv("PIP_INDEX_URL", "x")
    assert "SECRET" in programs.environ(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "closed"))
    found = programs.environ(tmp_path)
    assert not {"SECRET", "PYTHONPATH"} & found.keys()
    assert (found["PIP_INDEX_URL"], found["HOME"]) == ("x", str(tmp_path))
