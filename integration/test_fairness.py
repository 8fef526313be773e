"""Sites that are slow, or whose clients are, leave threads of the daemon process to the others."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from integration.conftest import Serve
from integration.server.running import Running
from tests.support.answer import Answer
from tests.support.connection import ask
from tests.support.waiting import DEADLINE, wait

OTHER = "other.domain.org"
SLOW = ("one.domain.org", "two.domain.org", "three.domain.org")
THREADS = 32  # the manual's
MANY = 40  # requests to each slow site


def start(serve: Serve, mode: str, hosts: Sequence[str]) -> Running:
    running = serve(mode, settings="queue_timeout=50")
    for host in (OTHER, *hosts):
        running.tree.deploy(host, "measured")
        assert running.ask(host, "/body/1024").status == 200
    return running


@contextlib.contextmanager
def held(running: Running, hosts: Sequence[str]) -> Iterator[list[Answer]]:
    """MANY requests to each host, whose application answers at the end; those answered so far."""
    answers: list[Answer] = []
    gates = [running.tree.wsgi(host) / "go" for host in hosts]

    def hold(host: str) -> None:
        answers.append(ask(running.port, host, "/hold"))

    threads = [threading.Thread(target=hold, args=(host,)) for host in hosts for _ in range(MANY)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        for gate in gates:
            gate.touch()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("mode", ["daemon", "workers"])
def test_slow_sites_leave_threads_to_the_others(serve: Serve, mode: str, count: int) -> None:
    hosts = SLOW[:count]
    running = start(serve, mode, hosts)
    with held(running, hosts) as answers:
        least = MANY * count - (THREADS - 1)  # one at least is left free
        wait(lambda: len(answers) >= least, "the surplus is refused", tell=running.httpd.log)
        for _ in range(100):
            assert running.ask(OTHER, "/body/1024").status == 200
        refused = list(answers)
        assert {(each.status, each.headers["Retry-After"]) for each in refused} == {(503, "5")}
    assert [each.status for each in answers[len(refused) :]] == [200] * (
        MANY * count - len(refused)
    )
    if count == 1:
        assert len(refused) == 13  # 27 of 32 threads are a share
    said = [line for line in running.httpd.log().splitlines() if "VAN043" in line]
    assert len(said) == count


@contextlib.contextmanager
def uploads(running: Running, count: int, length: int) -> Iterator[list[int]]:
    """POSTs to SLOW[0] that are slow until the end; then the statuses."""
    statuses: list[int] = []
    head = f"POST /upload HTTP/1.1\r\nHost: {SLOW[0]}\r\nContent-Length: {length}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", running.port), DEADLINE)
            clients.append(stack.enter_context(client))
            client.sendall(head.encode() + b"x" * 100)
        yield statuses
        for client in clients:
            response = http.client.HTTPResponse(client)
            with contextlib.suppress(OSError):  # refused, and closed before all was sent
                client.sendall(b"x" * (length - 100))
                response.begin()
                statuses.append(response.status)


@pytest.mark.parametrize("mode", ["daemon", "workers"])
@pytest.mark.parametrize("length", [60_000, 1_000_000])
def test_slow_uploads_leave_threads_to_the_others(serve: Serve, mode: str, length: int) -> None:
    running = start(serve, mode, SLOW[:1])
    with uploads(running, MANY, length) as statuses:
        wait(lambda: "VAN043" in running.httpd.log(), "some are refused")
        for _ in range(100):
            assert running.ask(OTHER, "/body/1024").status == 200
    assert statuses.count(200) == 27, statuses


@pytest.mark.parametrize("mode", ["workers"])
@pytest.mark.parametrize("length", [60_000, 1_000_000])
def test_slow_uploads_take_no_thread_of_a_worker(serve: Serve, mode: str, length: int) -> None:
    running = start(serve, mode, SLOW[:1])
    with uploads(running, 20, length) as statuses:
        for _ in range(20):
            assert running.ask(SLOW[0], "/body/1024").status == 200
    assert statuses == [200] * 20
