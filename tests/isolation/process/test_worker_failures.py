"""What a client gets, and the log says, when a worker fails. All failures are real ones."""

from __future__ import annotations

import errno
import logging
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mod_wsgi_van.errors import WorkerFailed
from mod_wsgi_van.isolation.process import ProcessIsolation, worker
from mod_wsgi_van.isolation.process.exchange import ResponseBroken
from mod_wsgi_van.wsgi import Application
from tests.isolation.process.calling import pid_of, source
from tests.support.children import runs
from tests.support.client import Call, ask, make_environ
from tests.support.waiting import wait

Load = Callable[..., Application]


def test_a_killed_worker_is_followed_by_another(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    application = load()
    for _ in range(2):
        pid = pid_of(application)
        os.kill(pid, signal.SIGKILL)
        assert pid_of(application) != pid
        wait(lambda pid=pid: f"its worker {pid} is gone: signal SIGKILL ended it" in caplog.text)
    assert caplog.text.count("VAN030") == 2


def test_without_pidfd_there_is_no_worker(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 5.3, and where a container does not allow it: nothing is left behind."""
    started = []

    def not_there(pid: int, flags: int = 0) -> int:
        started.append(pid)
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", not_there)
    with pytest.raises(WorkerFailed, match=r"pidfd_open\(2\) is needed: Linux 5\.3"):
        load()
    assert len(started) == 1 and not runs(started[0])


@pytest.mark.parametrize(("path", "query"), [("dies", "exit"), ("dies", "kill"), ("dies", "close")])
@pytest.mark.parametrize(("method", "workers"), [("GET", 2), ("POST", 1)])
def test_a_request_that_kills_its_worker(
    load: Load, caplog: pytest.LogCaptureFixture, path: str, query: str, method: str, workers: int
) -> None:
    """A safe one is tried once more, on a fresh worker; then the client gets 502."""
    application = load()
    answer = ask(application, path, method, QUERY_STRING=query)
    assert answer.status == 502
    assert f"VAN036: its worker ended before it answered, the client gets 502: {method}" in (
        caplog.text
    )
    wait(lambda: caplog.text.count("VAN030") == workers)
    assert "status 7" in caplog.text or query != "exit"


def test_a_safe_request_survives_one_death(load: Load, tmp_path: Path) -> None:
    application = load()
    mark = str(tmp_path / "mark")
    assert ask(application, "dies", QUERY_STRING="once", HTTP_X_MARK=mark).content == b"alive"


def test_a_body_that_is_partly_read_is_not_sent_again(load: Load) -> None:
    environ = {"QUERY_STRING": "read", "CONTENT_LENGTH": "70000"}
    assert ask(load(), "dies", "GET", b"x" * 70000, **environ).status == 502


def test_a_post_that_was_not_read_is_sent_again(load: Load) -> None:
    """To a worker that died while its connection was idle."""
    application = load(process_threads=1)
    pid = pid_of(application)
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not runs(pid))
    assert ask(application, "echo", "POST", b"body").json["body"] == "body"


def test_a_death_in_the_middle_breaks_the_response(load: Load) -> None:
    """The server is told by an exception, so that the client does not take it for whole."""
    application = load()
    call = Call(application, make_environ("dies_later"))
    assert next(call.blocks) == b"first"
    with pytest.raises(ResponseBroken, match="VAN037"):
        call.finish()
    assert ask(application, "about").status == 200


def hanging(application: Application) -> int:
    count: int = ask(application, "about").json["hanging"]
    return count


def test_other_requests_of_a_killed_worker(load: Load) -> None:
    application = load(process_threads=4)
    with ThreadPoolExecutor(4) as executor:
        waiting = [executor.submit(ask, application, "hangs") for _ in range(2)]
        posted = executor.submit(ask, application, "hangs", "POST")
        wait(lambda: hanging(application) == 3)
        os.kill(pid_of(application), signal.SIGKILL)
        assert posted.result(20).status == 502
        wait(lambda: hanging(application) == 2, "the requests on a fresh worker")
        ask(application, "release")
        assert [each.result(20).content for each in waiting] == [b"released"] * 2


def test_a_hanging_request_gets_504_and_its_worker_is_replaced(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    application = load(request_timeout=0.3, shutdown_timeout=0.2)
    pid = pid_of(application)
    answer = ask(application, "hangs")
    assert answer.status == 504 and answer.headers["Retry-After"] == "1"
    assert pid_of(application) != pid
    wait(lambda: not runs(pid))
    wait(lambda: f"VAN031: its worker {pid} did not answer within 0.3 s" in caplog.text)
    assert "VAN030" not in caplog.text


def test_a_response_that_stops_breaks_off(load: Load) -> None:
    application = load(request_timeout=0.3, shutdown_timeout=0.2)
    call = Call(application, make_environ("hangs_later"))
    assert next(call.blocks) == b"first"
    with pytest.raises(ResponseBroken):
        call.finish()


def test_a_worker_that_holds_the_gil_is_killed(load: Load) -> None:
    application = load(request_timeout=0.3, shutdown_timeout=0.2)
    pid = pid_of(application)
    assert ask(application, "holds_the_gil").status == 504
    assert ask(application, "about").status == 200
    wait(lambda: not runs(pid))


def test_a_thread_that_does_not_notice_its_client_went_away(load: Load) -> None:
    """Past request_timeout its worker is replaced: it must not hold a place for ever."""
    application = load(request_timeout=0.3, shutdown_timeout=0.2, process_threads=1)
    pid = pid_of(application)
    call = Call(application, make_environ("hangs_later"))
    assert next(call.blocks) == b"first"
    call.close()
    wait(lambda: not runs(pid))
    assert ask(application, "about").status == 200


def test_more_requests_than_threads_wait_and_then_get_503(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    application = load(process_threads=3, queue_timeout=0.2)
    pid = pid_of(application)
    with ThreadPoolExecutor(3) as executor:
        busy = [executor.submit(ask, application, "hangs", "POST") for _ in range(2)]
        wait(lambda: hanging(application) == 2)
        busy.append(executor.submit(ask, application, "hangs", "POST"))
        wait(lambda: ask(application, "empty").status == 503)
        assert ask(application, "empty").headers["Retry-After"] == "1"
        assert "VAN032: no worker had room within 0.2 s" in caplog.text
        os.kill(pid, signal.SIGKILL)
        assert [each.result(20).status for each in busy] == [502] * 3
    assert ask(application, "empty").status == 204


def test_a_request_that_waits_gets_the_place_of_another(load: Load) -> None:
    application = load(process_threads=1, queue_timeout=20)
    with ThreadPoolExecutor(8) as executor:
        answers = executor.map(lambda _: ask(application, "echo"), range(100))
        assert {answer.status for answer in answers} == {200}


def test_workers_that_die_at_once_are_restarted_with_pauses(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    application = load()
    statuses = [ask(application, "dies", "POST", QUERY_STRING="kill").status for _ in range(4)]
    assert statuses == [502] * 3 + [503]
    answer = ask(application, "empty")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) == 1
    assert "VAN034: its workers end or fail at once, 3 in a row: no new one for 1 s" in caplog.text
    wait(lambda: ask(application, "empty").status == 204, "the end of the pause")


def test_another_vhost_does_not_notice(make_isolation: Callable[..., ProcessIsolation]) -> None:
    isolation = make_isolation(request_timeout=0.5, shutdown_timeout=0.2)
    bad = isolation.load(source(host="bad.test")).application
    good = isolation.load(source(host="good.test")).application
    pid = pid_of(good)
    with ThreadPoolExecutor(4) as executor:
        failing = [
            executor.submit(ask, bad, path, "POST", QUERY_STRING=query)
            for path, query in [
                ("dies", "kill"),
                ("holds_the_gil", ""),
                ("floods", "200"),
                ("allocates", "100000000"),
            ]
        ]
        for _ in range(200):
            assert pid_of(good) == pid
        for each in failing:
            each.result(30)
    assert pid_of(good) == pid


def test_a_forked_child_cannot_answer(
    load: Load, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    application = load()
    child = int(ask(application, "forks").content)
    assert pid_of(application) != child
    wait(lambda: not runs(child))  # its response failed, and with it ended its thread


def test_a_child_of_a_child_keeps_its_files(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(load(), "forks_twice").body == "40 of 40"
    assert "ignored" not in capfd.readouterr().err


def test_nothing_of_the_worker_runs_in_a_child_of_a_child(load: Load) -> None:
    ran = ask(load(), "forks_quietly").body.split()
    assert ran and worker.__file__ not in ran


def test_children_end_with_their_worker(make_isolation: Callable[..., ProcessIsolation]) -> None:
    isolation = make_isolation()
    application = isolation.load(source()).application
    pid = pid_of(application)
    child = int(ask(application, "sleeper").content)
    assert runs(child)
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not runs(child))


def test_a_worker_that_leaks_is_replaced(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    application = load(memory_limit=100 << 20)
    pid = pid_of(application)
    for _ in range(11):
        assert ask(application, "leaks", QUERY_STRING="10000000").status == 200
    wait(lambda: pid_of(application) != pid, "a fresh worker")
    wait(lambda: not runs(pid))
    wait(lambda: f"its worker {pid} is replaced: it holds 1" in caplog.text)
    assert "VAN030" not in caplog.text


def test_garbage_is_502_and_the_worker_is_killed(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    application = load()
    pid = pid_of(application)
    answer = ask(application, "speaks", QUERY_STRING=b"HTTP/1.1 200 OK\r\n\r\n".hex())
    assert answer.status == 502
    wait(lambda: f"VAN033: its worker {pid} answered garbage" in caplog.text)
    assert ask(application, "about").json["pid"] != pid
    wait(lambda: not runs(pid))
