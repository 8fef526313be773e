"""What becomes of a site whose releases do not end when they are replaced."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import get, wait_for
from tests.support.vhosts import deploy, release
from tests.support.waiting import wait

APP = """
import os, threading, time
def loop():
    while not os.path.exists({gate!r}):
        time.sleep(0.005)
if {loops}:
    threading.Thread(target=loop, name="poller", daemon=True).start()
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{number} {{os.getpid()}}".encode()]
"""


class Deploys:
    """Of one site, whose releases leave a thread behind or do not."""

    def __init__(self, path: Path, router: Any, caplog: pytest.LogCaptureFixture) -> None:
        self._path, self._router, self._caplog = path, router, caplog
        self._number = 0
        self.gate = path / "gate"

    def __call__(self, *, loops: bool) -> int:
        """Deploy, wait until the old release is retired, and return where the new one runs."""
        self._number += 1
        app = APP.format(gate=str(self.gate), loops=loops, number=self._number)
        deploy(self._path, "a.test", release(self._path, "a.test", self._number, app))
        body = wait(self._answer)
        wait(lambda: self.said("reloaded in") == self._number - 1)
        self._wait_for_retirement()
        return int(body)

    def _answer(self) -> str:
        number, pid = get(self._router.application, "a.test").body.split()
        return pid if number == str(self._number) else ""

    def wait_for_lines(self, count: int) -> None:
        """Wait until so many releases were said to go on, and those who retire them have ended."""
        wait(lambda: self.said("VAN040") == count)
        self._wait_for_retirement()

    def _wait_for_retirement(self) -> None:
        wait(lambda: not self._announced() and not self._retires())

    def _announced(self) -> int:
        engine = self._router._engine
        return sum(engine._parts.retiring.count(site) for site in engine.sites)

    def _retires(self) -> bool:
        return any(each.name == "van-retire-a.test" for each in threading.enumerate())

    def said(self, text: str) -> int:
        return sum(text in record.getMessage() for record in self._caplog.records)


@pytest.fixture
def deploys(tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, "mod_wsgi_van")
    deploys = Deploys(tmp_path, make_router(shutdown_timeout=0.1), caplog)
    yield deploys
    deploys.gate.touch()


def test_two_deploys_in_a_row_that_leave_a_thread_move_a_site(deploys: Deploys) -> None:
    here = os.getpid()
    assert deploys(loops=True) == here
    for number in (1, 2):
        assert deploys(loops=True) == here
        deploys.wait_for_lines(number)
    assert deploys(loops=True) != here
    assert deploys.said("a.test: runs in a worker process from now on: its releases go on") == 1
    deploys.wait_for_lines(3)
    assert deploys(loops=True) != here
    assert deploys.said("from now on") == 1


def test_one_deploy_that_leaves_a_thread_moves_nothing(deploys: Deploys) -> None:
    for number in (1, 2):
        assert deploys(loops=True) == os.getpid()
        assert deploys(loops=False) == os.getpid()
        deploys.wait_for_lines(number)
    assert deploys(loops=False) == os.getpid()


KEEPER = """
import atexit, pathlib
try:
    import nowhere_to_be_found
except ImportError as error:
    kept = error
atexit.register(pathlib.Path({ended!r}).touch)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{number}"]
"""


def test_an_exception_that_an_import_keeps_delays_no_end(tmp_path: Path, make_router: Any) -> None:
    """Its traceback has the frames of the load, and these have what they had last."""
    router, ended = make_router(isolation="imports"), tmp_path / "ended"
    for number in ("1", "2"):
        app = KEEPER.format(ended=str(ended), number=number)
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", int(number), app))
        wait_for(router.application, "a.test", number)
    wait(ended.exists, "the end of the first", seconds=router.grace_period / 2)
