"""A release keeps the environment that it was loaded with, in every worker that it gets."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.process import ProcessIsolation
from tests.isolation.process.calling import make_script, pid_of, source, vhost
from tests.support.children import runs
from tests.support.client import ask
from tests.support.fuse import POSSIBLE, mirror
from tests.support.links import swap
from tests.support.venvs import make_venv
from tests.support.waiting import wait

MakeIsolation = Callable[..., ProcessIsolation]

APP = """
    import os, sys
    def app(environ, start_response):
        import lazy
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{lazy.name} {sys.prefix} {os.getpid()}".encode()]
"""


ANSWER = """
    import os
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(os.getpid()).encode()]
"""


def make_release(directory: Path) -> Path:
    vhost(directory, APP)
    venv = make_venv(directory / ".venv")
    packages = venv / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
    packages.mkdir(parents=True)
    (packages / "lazy.py").write_text(f"name = {directory.name!r}\n")
    return directory


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not runs(pid))


def test_a_later_worker_has_the_environment_of_its_release(
    make_isolation: MakeIsolation, tmp_path: Path
) -> None:
    """The site's link leads to another release by then, as after a deploy that failed to load."""
    one, two = make_release(tmp_path / "one"), make_release(tmp_path / "two")
    link = tmp_path / "link"
    link.symlink_to(one)
    behind = source(one, str(link / ".venv" / "bin" / "python"))
    application = make_isolation().load(behind).application
    swap(link, two)
    for _ in range(2):  # an import that comes late, then one in another worker
        name, prefix, pid = ask(application).body.split()
        assert (name, prefix) == ("one", str(one / ".venv"))
        kill(int(pid))


@pytest.mark.parametrize("change", ["made anew", "removed", "half removed"])
def test_no_worker_is_started_in_another_environment(
    make_isolation: MakeIsolation, tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    release = make_release(tmp_path / "one")
    venv = release / ".venv"
    application = make_isolation().load(source(release, str(venv / "bin/python"))).application
    _, _, pid = ask(application).body.split()
    away = tmp_path / "away"
    if change == "half removed":
        (venv / "pyvenv.cfg").rename(away)
    else:
        venv.rename(away)
    if change == "made anew":
        make_venv(venv)
    kill(int(pid))
    assert ask(application).status == 503
    assert "a.test: VAN007: " in caplog.text and str(venv / "bin/python") in caplog.text
    if change != "removed":
        assert "was removed or made anew" in caplog.text
    if change == "half removed":
        away.rename(venv / "pyvenv.cfg")
        wait(lambda: ask(application).status == 200, "the end of the pause")


@pytest.mark.skipif(not POSSIBLE, reason="needs bindfs and FUSE")
def test_a_file_system_that_does_not_answer(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    """Its site gets no new worker; nobody else waits, not even the shutdown."""
    real, shown = tmp_path / "real", tmp_path / "shown"
    vhost(real, ANSWER)
    make_venv(real / ".venv")
    isolation = make_isolation(load_timeout=2, queue_timeout=0.2)
    other = isolation.load(source(host="other.test")).application
    with mirror(real, shown) as mirrored, ThreadPoolExecutor(1) as executor:
        python = str(shown / ".venv" / "bin" / "python")
        application = isolation.load(source(shown, python)).application
        pid = int(ask(application).body)
        mirrored.stop()
        kill(pid)
        first = executor.submit(ask, application)  # starts a worker
        while not first.done():
            assert ask(other, "about").status == 200
        assert first.result().status == 503
        assert ask(application).status == 503
        begun = time.monotonic()
        isolation.shutdown(2)
        assert time.monotonic() - begun < 10  # for ever, were the site waited for


def test_an_environment_that_is_deleted_while_it_runs(
    make_isolation: MakeIsolation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    python = make_script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    application = make_isolation().load(source(python=python)).application
    pid = pid_of(application)
    Path(python).rename(tmp_path / "away")
    assert pid_of(application) == pid
    os.kill(pid, signal.SIGKILL)
    assert ask(application, "about").status == 503
    assert "No such file" in caplog.text and "VAN034" in caplog.text
    (tmp_path / "away").rename(python)
    wait(lambda: ask(application, "about").status == 200, "the end of the pause")
