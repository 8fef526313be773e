"""reload = "restart": the old release ends before the new one is loaded, and no request is lost."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import get, wait_for
from tests.support.log import errors, logged
from tests.support.vhosts import app, deploy, release, write
from tests.support.waiting import wait

# A site that can be only once: a lock that ends with the process, or in its exit handler.
ONCE = """
import atexit, fcntl, os, time
file = open({lock!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
atexit.register(file.close)
{more}
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open({lock!r} + ".slow", "w").close()
        time.sleep(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{text!r}.encode()]
"""


def once(tmp_path: Path, text: str, more: str = "") -> str:
    return ONCE.format(lock=str(tmp_path / "lock"), text=text, more=more)


class Clients:
    """Threads that ask one host again and again until they are stopped."""

    def __init__(self, application: Any, number: int = 4) -> None:
        self.application = application
        self.answers: list[tuple[int, str]] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    def run(self) -> None:
        while not self.over.wait(0.002):
            answer = get(self.application, "a.test")
            self.answers.append((answer.status, answer.body))

    def stop(self) -> set[tuple[int, str]]:
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        return set(self.answers)


@pytest.mark.parametrize("isolation", ["auto", "imports"])
def test_deploys_under_load(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    caplog.set_level(logging.INFO)
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 0, once(tmp_path, "0")))
    router = make_router(reload="restart", isolation=isolation)
    wait_for(router.application, "a.test", "0")
    clients = Clients(router.application)
    try:
        for number in map(str, range(1, 6)):
            source = once(tmp_path, number)
            deploy(tmp_path, "a.test", release(tmp_path, "a.test", int(number), source))
            wait_for(router.application, "a.test", number)
    finally:
        answers = clients.stop()
    assert answers <= {(200, str(number)) for number in range(6)}
    wait(lambda: logged(caplog, "restarted in") == 5, "five lines in the log")
    assert not errors(caplog)


def test_a_request_of_the_old_release_ends_before_the_new_one_begins(
    tmp_path: Path, make_router: Any
) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, once(tmp_path, "1")))
    router = make_router(reload="restart")
    wait_for(router.application, "a.test", "1")
    bodies: list[str] = []
    slow = threading.Thread(
        target=lambda: bodies.append(get(router.application, "a.test", "/slow").body)
    )
    slow.start()
    wait((tmp_path / "lock.slow").exists, "the slow request")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, once(tmp_path, "2")))
    wait_for(router.application, "a.test", "2")
    slow.join(30)
    assert bodies == ["1"]


@pytest.mark.parametrize("isolation", ["auto", "imports"])
def test_a_release_that_does_not_start_brings_the_old_one_back(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, once(tmp_path, "1")))
    router = make_router(reload="restart", isolation=isolation)
    wait_for(router.application, "a.test", "1")
    clients = Clients(router.application)
    try:
        broken = once(tmp_path, "2", more="raise ValueError('not today')")
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, broken))
        (message,) = wait(lambda: errors(caplog), "the error in the log")
        wait_for(router.application, "a.test", "1")
    finally:
        answers = clients.stop()
    assert answers == {(200, "1")}
    assert "not today" in message and "/a.test/1/wsgi was started again" in message
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 3, once(tmp_path, "3")))
    wait_for(router.application, "a.test", "3")


def test_old_code_that_was_changed_in_place_is_gone(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.test" / "van.toml", 'reload = "restart"')
    wsgi = tmp_path / "a.test" / "wsgi"
    write(wsgi / "app.py", once(tmp_path, "1"))
    router = make_router()
    wait_for(router.application, "a.test", "1")
    write(wsgi / "app.py", once(tmp_path, "2", more="1 / 0"))
    (message,) = wait(lambda: errors(caplog), "the error in the log")
    assert f"its old release is gone: what stood in {wsgi} was changed" in message
    assert get(router.application, "a.test").status == 500
    write(wsgi / "app.py", once(tmp_path, "3"))
    wait_for(router.application, "a.test", "3")


def test_requests_wait_no_longer_than_load_timeout(tmp_path: Path, make_router: Any) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, once(tmp_path, "1")))
    router = make_router(reload="restart", load_timeout=0.5)
    router.load("a.test")
    wait_for(router.application, "a.test", "1")
    slow = threading.Thread(target=lambda: get(router.application, "a.test", "/slow"))
    slow.start()
    wait((tmp_path / "lock.slow").exists, "the slow request")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, once(tmp_path, "2")))
    answer = wait(
        lambda: next((a for a in [get(router.application, "a.test")] if a.status != 200), None),
        "the answer of one that has waited",
    )
    assert answer.status == 503 and answer.headers["Retry-After"]
    slow.join(30)
    wait_for(router.application, "a.test", "2")


def test_all_names_of_a_site_restart_once(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wsgi = tmp_path / "a.test" / "wsgi"
    write(wsgi / "app.py", once(tmp_path, "1"))
    (tmp_path / "b.test").symlink_to("a.test")
    router = make_router(reload="restart")
    wait_for(router.application, "a.test", "1")
    wait_for(router.application, "b.test", "1")
    write(wsgi / "app.py", once(tmp_path, "2"))
    wait_for(router.application, "b.test", "2")
    wait_for(router.application, "a.test", "2")
    wait(lambda: logged(caplog, "restarted in") == 1, "the line in the log")
    assert not errors(caplog) and not logged(caplog, "reloaded")


def test_a_lock_that_is_taken_names_the_setting(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, once(tmp_path, "1")))
    router = make_router(isolation="process")
    wait_for(router.application, "a.test", "1")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, once(tmp_path, "2")))
    (message,) = wait(lambda: errors(caplog), "the error in the log")
    assert "BlockingIOError" in message and 'set reload = "restart" in its van.toml' in message
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 3, app("[Errno 98]") + "1 / 0"))
    second = wait(lambda: errors(caplog)[1:], "the error in the log")[0]
    assert "reload" not in second.partition("\n")[0]
