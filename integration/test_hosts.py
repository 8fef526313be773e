"""Whatever a client calls a vhost, static file and application are of one directory."""

from __future__ import annotations

import pytest

from integration import comparison
from integration.conftest import Serve
from integration.server.flavours import Flavour
from integration.server.running import Running
from tests.support.answer import Answer
from tests.support.connection import raw
from tests.support.waiting import wait

HOST = "one.domain.org"

# Row of the comparison (or "") -> the request line and headers; {path} and {port} are filled in.
FORMS = {
    "plain": ("", "GET {path} HTTP/1.1\r\nHost: one.domain.org"),
    "port": ("host with port", "GET {path} HTTP/1.1\r\nHost: one.domain.org:{port}"),
    "other port": ("", "GET {path} HTTP/1.1\r\nHost: one.domain.org:1"),
    "upper case": ("upper case", "GET {path} HTTP/1.1\r\nHost: ONE.Domain.ORG"),
    "trailing dot": ("trailing dot", "GET {path} HTTP/1.1\r\nHost: one.domain.org."),
    "all of it": ("", "GET {path} HTTP/1.1\r\nHost: ONE.domain.org.:{port}"),
    "HTTP/1.0 with Host": ("", "GET {path} HTTP/1.0\r\nHost: one.domain.org"),
    "absolute URI 1.1": (
        "",
        "GET http://one.domain.org{path} HTTP/1.1\r\nHost: two.domain.org",
    ),
    "absolute URI 1.0": ("", "GET http://one.domain.org{path} HTTP/1.0"),
    "absolute URI 1.0 and Host": (
        "",
        "GET http://one.domain.org{path} HTTP/1.0\r\nHost: two.domain.org",
    ),
}

# The application mounted at / with the manual's rewriting, and below a path, where what is not
# below it is VirtualDocumentRoot's.
MOUNTS = {"/": (), "/example": (("WSGIScriptAlias / ", "WSGIScriptAlias /example "),)}


def ask(running: Running, form: str, path: str) -> Answer:
    head = FORMS[form][1].format(path=path, port=running.port)
    return raw(running.port, f"{head}\r\nConnection: close\r\n\r\n".encode())


@pytest.mark.parametrize("mount", MOUNTS)
def test_static_file_and_application_belong_together(
    serve: Serve, flavour: Flavour, mode: str, mount: str
) -> None:
    running = serve(mode, changes=MOUNTS[mount])
    for host in (HOST, "two.domain.org", "domain.org"):
        running.tree.deploy(host, "plain")
    for form, (row, _) in FORMS.items():
        static, dynamic = ask(running, form, "/where.txt"), ask(running, form, mount)
        assert (static.status, static.body) == (200, "one 1\n"), form
        assert dynamic.status == 200, (form, dynamic.body)
        assert dynamic.json["seen"][0] == ["one", "1"], form
        if row and mount == "/":
            comparison.record(row, f"{flavour.name} {mode}", "200, the right vhost")


def test_a_request_without_host_is_for_the_server_name(
    serve: Serve, flavour: Flavour, mode: str
) -> None:
    running = serve(mode)
    running.tree.deploy("domain.org", "plain")
    static = raw(running.port, b"GET /where.txt HTTP/1.0\r\n\r\n")
    dynamic = raw(running.port, b"GET / HTTP/1.0\r\n\r\n")
    assert static.body == "domain 1\n"
    assert dynamic.json["seen"][0] == ["domain", "1"]
    comparison.record("HTTP/1.0 without Host", f"{flavour.name} {mode}", "200, ServerName's vhost")


def test_unknown_hosts_are_404_and_appear_when_created(
    serve: Serve, flavour: Flavour, mode: str
) -> None:
    running = serve(mode)
    for host in ("nobody.domain.org", "elsewhere.example", "__pycache__.domain.org"):
        answer = running.ask(host)
        assert answer.status == 404, answer
        assert "Traceback" not in answer.body
    assert "Traceback" not in running.httpd.log()
    running.tree.deploy("nobody.domain.org", "plain")
    wait(lambda: running.ask("nobody.domain.org").status == 200, "the new vhost is served")
    comparison.record("unknown host", f"{flavour.name} {mode}", "404, no traceback")


@pytest.mark.parametrize("host", [".builds", "..", "a..b", "a%2fb", "x" * 254, "-", "_", "[::1]"])
def test_what_apache_lets_through_never_leads_elsewhere(serve: Serve, host: str) -> None:
    running = serve()
    running.tree.deploy(HOST, "plain")
    answer = running.ask(host)
    assert answer.status in (400, 404), answer
    assert "Traceback" not in running.httpd.log()
