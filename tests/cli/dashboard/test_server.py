"""The server answers what it should, to whom it should, whatever else is connected."""

from __future__ import annotations

import json
import socket
import time

import pytest

from mod_wsgi_van.cli.dashboard import server as module
from mod_wsgi_van.cli.dashboard.server import DashboardServer, address
from mod_wsgi_van.cli.problem import Problem
from tests.cli.dashboard.conftest import Begin
from tests.support.connection import ask, raw
from tests.support.waiting import wait


def status(server: DashboardServer, since: int = 0) -> dict[str, object]:
    server.observer.look(0)
    body = ask(server.server_port, "localhost", f"/status.json?since={since}").body
    told: dict[str, object] = json.loads(body)
    return told


def test_live_is_the_dashboard_and_ready_the_daemon(server: DashboardServer, begin: Begin) -> None:
    def ready() -> tuple[int, str]:
        server.observer.look(0)
        answer = ask(server.server_port, "localhost", "/ready")
        return answer.status, answer.body

    assert ready() == (503, "no process of the daemon answers\n")
    one, two = begin(1), begin(2)
    assert ready() == (200, "ready\n")
    two.told["draining"] = True
    assert ready() == (503, "process 2 drains: it is about to end\n")
    two.end()
    one.answers.clear()
    code, why = ready()
    assert code == 503
    assert "no answer" in why
    assert ask(server.server_port, "localhost", "/live").status == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:9117", 200),
        ("127.0.0.1", 200),
        ("[::1]:9117", 200),
        ("192.0.2.7:9117", 200),
        ("evil.example:9117", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("[", 421),
        ("", 421),
    ],
)
def test_only_a_host_that_no_other_site_can_have(
    server: DashboardServer, host: str, expected: int
) -> None:
    assert (
        raw(server.server_port, f"GET /live HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status
        == expected
    )


def test_the_name_of_bind_is_a_name_of_the_server(server: DashboardServer) -> None:
    server.host = "van.Internal"
    assert ask(server.server_port, "VAN.internal:9117", "/live").status == 200


def test_it_knows_get_and_head_alone(server: DashboardServer) -> None:
    head = ask(server.server_port, "localhost", "/", method="HEAD")
    assert (head.status, head.body) == (200, "")
    assert int(head.headers["Content-Length"]) > 1000
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server.server_port, "localhost", "/", method=method).status == 405
    assert ask(server.server_port, "localhost", "/", method="TRACE").status == 501
    for path in ("/nothing", "/../server.py", "/page/index.html"):
        assert ask(server.server_port, "localhost", path).status == 404
    assert "default-src 'none'" in head.headers["Content-Security-Policy"]


def test_only_what_changed_is_sent_again(server: DashboardServer, begin: Begin) -> None:
    one = begin(1)
    for name in ("a.example", "b.example"):
        one.site(name)
    first = status(server)
    assert first["whole"] is True
    assert isinstance(first["version"], int)
    one.site("b.example", requests=9)
    second = status(server, first["version"])
    assert second["whole"] is False
    assert [row[0] for row in second["sites"]] == ["b.example"]  # type: ignore[attr-defined]
    one.sites = {"b.example": one.sites["b.example"]}
    assert isinstance(second["version"], int)
    third = status(server, second["version"])
    assert third["whole"] is True
    assert [row[0] for row in third["sites"]] == ["b.example"]  # type: ignore[attr-defined]
    assert status(server, 10**18)["whole"] is True  # of a dashboard with a later clock


def test_a_site_is_told_with_the_meaning_of_its_code(server: DashboardServer, begin: Begin) -> None:
    failure = {"code": "VAN002", "text": "ImportError: x", "time": 1.0}
    begin(1).site("a.example", state="failed", failure=failure)
    told = json.loads(ask(server.server_port, "localhost", "/site.json?name=a.example").body)
    assert told["lines"][0]["failure"] == failure
    assert "traceback" in told["codes"]["VAN002"]["action"]
    assert ask(server.server_port, "localhost", "/site.json?name=%00%ff").status == 404


def test_slow_clients_hold_up_nobody(
    server: DashboardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0.5)
    port = server.server_port
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(module._MOST)]
    try:
        wait(lambda: len(server._open) == module._MOST, "all places are taken")
        extra = socket.create_connection(("127.0.0.1", port))
        with extra:
            assert extra.recv(1) == b""  # there is no place for it
        end = time.monotonic() + 30
        while server._open and time.monotonic() < end:  # a byte now and then does not help them
            for each in slow:
                try:
                    each.send(b"G")
                except OSError:
                    pass
            time.sleep(0.05)
        assert ask(port, "localhost", "/live").status == 200
    finally:
        for each in slow:
            each.close()


@pytest.mark.parametrize("bind", ["9117", ":9117", "127.0.0.1:", "127.0.0.1:x", "a:70000"])
def test_a_wrong_address_is_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        address(bind)


def test_an_address_of_ipv6() -> None:
    assert address("[::1]:9117") == ("::1", 9117)


def test_a_port_that_is_taken_is_a_problem(server: DashboardServer) -> None:
    with pytest.raises(Problem, match="in use"):
        DashboardServer(f"127.0.0.1:{server.server_port}", server.observer)
