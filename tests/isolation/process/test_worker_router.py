"""Worker processes behind a router: first load, deploys under load, failing loads, the end."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.isolation.process.calling import PYTHONS
from tests.support.children import runs
from tests.support.client import get, wait_for
from tests.support.threads import in_threads
from tests.support.vhosts import deploy, release, write
from tests.support.waiting import wait

APP = """
import os
RELEASE = "{number}"
def app(environ, start_response):
    body = (RELEASE + " " + str(os.getpid())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class WorkerRouter(Router):
    isolation = "process"

    def get_python(self, path: Path) -> str:
        return sys.executable


def ask(router: Router, host: str = "a.test") -> tuple[int, int]:
    """The number of the release, and the pid of its worker."""
    answer = get(router.application, host)
    assert answer.status == 200, answer
    number, pid = answer.body.split()
    return int(number), int(pid)


def deploy_number(base: Path, number: int, host: str = "a.test") -> None:
    deploy(base, host, release(base, host, number, APP.format(number=number)))


def test_the_life_of_a_vhost(tmp_path: Path, make_router: Any) -> None:
    router = make_router(WorkerRouter)
    deploy_number(tmp_path, 1)
    _, first = ask(router)
    assert ask(router) == (1, first)
    deploy_number(tmp_path, 2)
    wait(lambda: ask(router)[0] == 2, "the second release")
    _, second = ask(router)
    wait(lambda: not runs(first), "the end of the first worker")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 3, "import nowhere_to_be_found"))
    deploy_number(tmp_path, 4, "b.test")
    wait_for(router.application, "b.test", "4 " + str(ask(router, "b.test")[1]))
    assert ask(router) == (2, second)
    (tmp_path / "a.test").unlink()
    wait(lambda: get(router.application, "a.test").status == 404, "404")
    wait(lambda: not runs(second), "the end of the second worker")


def test_the_first_requests_share_one_load(tmp_path: Path, make_router: Any) -> None:
    router = make_router(WorkerRouter)
    deploy_number(tmp_path, 1)
    pids = set()
    in_threads(8, lambda number: pids.add(ask(router)[1]))
    assert len(pids) == 1


def test_deploys_under_load(tmp_path: Path, make_router: Any) -> None:
    """No request fails, waits for a load, or goes back to an older release."""
    router = make_router(WorkerRouter)
    deploy_number(tmp_path, 0)
    ask(router)
    done = threading.Event()

    def deploy_all() -> None:
        try:
            for number in range(1, 31):
                deploy_number(tmp_path, number)
                wait(lambda number=number: ask(router)[0] == number, f"release {number}")
        finally:
            done.set()

    def work(worker: int) -> None:
        if worker == 0:
            deploy_all()
            return
        newest = 0
        while not done.is_set():
            number, _ = ask(router)
            assert number >= newest
            newest = number

    in_threads(5, work)
    assert ask(router)[0] == 30


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_auto_sends_another_python_to_a_worker(
    tmp_path: Path, make_router: Any, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An environment as ``python -m venv`` makes it; of the running Python it needs no worker."""
    python = Path(PYTHONS[version]).resolve()
    venv = tmp_path / "a.test" / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(python)
    config = (
        f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version}.0\n"
    )
    (venv / "pyvenv.cfg").write_text(config)
    write(venv / "lib" / f"python{version}" / "site-packages" / "library.py", "NAME = 'library'")
    source = """
        import os, sys, library
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [repr((sys.version_info[:2], library.NAME, os.getpid())).encode()]
    """
    write(tmp_path / "a.test" / "wsgi" / "app.py", source)
    router = make_router()
    answered, name, pid = eval(get(router.application, "a.test").body)
    assert ".".join(map(str, answered)) == version and name == "library"
    own = version == "{}.{}".format(*sys.version_info)
    assert (pid == os.getpid()) == own
