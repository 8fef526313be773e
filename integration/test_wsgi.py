"""PEP 3333 through httpd: what the application does reaches the client as without a router."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket

import pytest

from integration import comparison
from integration.conftest import Serve
from integration.server.flavours import Flavour
from integration.server.running import Running
from integration.sites.libraries import DJANGO5
from tests.support.connection import raw
from tests.support.environments import environment
from tests.support.waiting import wait

HOST = "one.domain.org"


@pytest.fixture
def running(serve: Serve, mode: str) -> Running:
    started = serve(mode)
    started.tree.deploy(HOST, "wsgi")
    return started


def counts(running: Running) -> dict[str, int]:
    return dict(running.ask(HOST, "/counts").json)


def test_ways_to_answer(running: Running) -> None:
    assert running.ask(HOST, "/write").body == "written and returned"
    source = (running.tree.wsgi(HOST) / "app.py").read_bytes()
    assert running.ask(HOST, "/file").content == source
    assert running.ask(HOST, "/filelike").content == b"x" * 100_000
    said = running.ask(HOST).json
    assert (said["SCRIPT_NAME"], said["PATH_INFO"], said["HTTP_HOST"]) == ("", "/", HOST)
    head = running.ask(HOST, "/filelike", method="HEAD")
    assert (head.status, head.content) == (200, b"")
    assert running.ask(HOST, "/raise").status == 500
    assert len(running.httpd.lines("RuntimeError: raised while handling")) == 1
    assert running.ask(HOST, "/errors").body == "said"
    running.httpd.wait_for_line("a line for wsgi.errors")


# What a head does -> status and body. The same in all modes: without workers mod_wsgi decides.
RULES = {
    "again": (201, "fine"),
    "again_when_sent": (200, "sent RuntimeError"),
    "with_error": (202, "fine"),
    "with_error_when_sent": (200, "sent KeyError"),
    "list_as_error": (200, "RuntimeError"),
    "tuple_of_headers": (200, "TypeError"),
    "header_in_a_list": (200, "TypeError"),
    "header_of_one": (200, "ValueError"),
    "header_of_a_number": (200, "TypeError"),
    "header_of_two_lines": (200, "ValueError"),
    "bytes_as_status": (200, "TypeError"),
    "number_as_status": (200, "TypeError"),
    "words_as_status": (200, "ValueError"),
}


def test_rules_of_the_head(running: Running) -> None:
    answers = {name: running.ask(HOST, f"/rules?{name}") for name in RULES}
    assert {name: (each.status, each.body) for name, each in answers.items()} == RULES


def test_a_file_in_text_mode_is_sent_as_its_bytes(running: Running) -> None:
    source = (running.tree.wsgi(HOST) / "app.py").read_bytes()
    assert running.ask(HOST, "/text").content == source


def test_streaming_is_not_held_back(running: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", "/stream", headers={"Host": HOST})
    response = connection.getresponse()
    assert response.read(6) == b"first "
    assert running.ask(HOST, "/go").body == "gone"  # only now can the application go on
    assert response.read() == b"second"
    connection.close()
    wait(lambda: counts(running)["closed"] == 1, "close() was called")


def test_close_is_called_once(running: Running, flavour: Flavour, mode: str) -> None:
    for number in range(1, 4):
        assert running.ask(HOST, "/closing").body == "ok"
        wait(lambda n=number: counts(running)["closed"] == n, "close()")  # type: ignore[misc]
    comparison.record("close() of the response", f"{flavour.name} {mode}", "called once each time")


def test_django_learns_that_a_request_finished(serve: Serve, flavour: Flavour, mode: str) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "django", env=environment(flavour.python, DJANGO5))
    for _ in range(3):
        assert running.ask(HOST).status == 200

    def finished() -> bool:
        return int(running.ask(HOST, "/finished").json["finished"]) >= 3

    wait(finished, "request_finished was sent for each request")


@pytest.mark.parametrize("size", [0, 1, 65_536, 64_000_000])
def test_uploads_arrive_whole(running: Running, size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    said = running.ask(HOST, "/upload", method="POST", body=body).body
    assert said == f"{size} {hashlib.sha256(body).hexdigest()}"


def test_expect_100_continue(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), 60) as client:
        head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n"
        client.sendall(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"hello")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.endswith(f"5 {hashlib.sha256(b'hello').hexdigest()}".encode())


def test_a_client_that_goes_away_ends_the_response(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), 60) as client:
        client.sendall(f"GET /forever HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait(lambda: counts(running)["closed"] == 1, "close() of the abandoned response")
    assert running.ask(HOST).status == 200


@pytest.mark.parametrize("path", ["", "/", "/closing?a=b"])
def test_below_a_mount_point(serve: Serve, mode: str, path: str) -> None:
    changes = (("WSGIScriptAlias / ", "WSGIScriptAlias /example "),)
    running = serve(mode, changes=changes)
    running.tree.deploy(HOST, "wsgi")
    (running.tree.wsgi(HOST) / "app.py").write_text(SHOW)
    said = json.loads(running.ask(HOST, "/example" + path).content)
    assert said == ["/example", path.split("?")[0], path.partition("?")[2]]
    assert running.ask(HOST, "/examples").status == 404


SHOW = """
import json

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    names = "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"
    return [json.dumps([environ[name] for name in names]).encode()]
"""


def test_http_1_0_keeps_its_ways(running: Running) -> None:
    answer = raw(running.port, f"GET /write HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    assert answer.body == "written and returned"
