"""Requests: which answer comes from where, and what it costs."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get, wait_for
from tests.support.threads import in_threads
from tests.support.vhosts import app, deploy, release, site, write
from tests.support.waiting import wait

COUNT = """
import os
with open(os.path.dirname(__file__) + "/../loads", "a") as file:
    file.write("x")
"""
SLOW = """
import time
time.sleep(0.1)
"""


def test_each_host_is_answered_by_its_own_application(tmp_path: Path, make_router: Any) -> None:
    for host in ("a.test", "b.test"):
        site(tmp_path, host, f"this is {host}")
    router = make_router()
    for host in ("a.test", "b.test", "A.Test", "a.test.", "a.test:8080", "B.TEST.:1"):
        name = host.split(":")[0].rstrip(".").lower()
        assert get(router.application, host).body == f"this is {name}"


def test_without_a_host_server_name_counts(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "a.test")
    site(tmp_path, "::1", "six")
    router = make_router()
    assert get(router.application, None, SERVER_NAME="A.test").body == "one"
    assert get(router.application, None, SERVER_NAME="[::1]").body == "six"
    assert get(router.application, "[::1]:80", SERVER_NAME="a.test").body == "six"


@pytest.mark.parametrize(
    "host",
    ["", ".", "..", "a..b", ".builds", "a/b", "../a", "a\\b", "a\0b", "ä.test", "a b", "x" * 254],
)
def test_what_cannot_be_a_vhost_never_reaches_a_path(
    tmp_path: Path, make_router: Any, host: str
) -> None:
    class Watched(Router):
        def get_server_path(self, host_name: str) -> Path:  # type: ignore[override]
            raise AssertionError(host_name)

    router = make_router(Watched)
    answer = get(router.application, host)
    assert answer.status == 400
    assert "Traceback" not in answer.body


def test_an_unknown_vhost_and_one_without_an_application(tmp_path: Path, make_router: Any) -> None:
    (tmp_path / "empty.test").mkdir()
    (tmp_path / "file.test").touch()
    (tmp_path / "loop.test").symlink_to("loop.test")
    router = make_router()
    for host in ("none.test", "empty.test", "file.test", "loop.test"):
        assert get(router.application, host).status == 404
    site(tmp_path, "empty.test", "now")
    site(tmp_path, "none.test", "now too")
    wait_for(router.application, "empty.test", "now")
    wait_for(router.application, "none.test", "now too")


def test_an_unknown_vhost_costs_no_file_system_access(tmp_path: Path, make_router: Any) -> None:
    asked = []

    class Watched(Router):
        def get_server_path(self, host_name: str) -> Path:  # type: ignore[override]
            asked.append(host_name)
            return super().get_server_path(host_name)

    router = make_router(Watched)
    for _ in range(100):
        assert get(router.application, "none.test").status == 404
    assert asked == ["none.test"]


def test_any_number_of_hosts_takes_a_bounded_memory(make_router: Any) -> None:
    router = make_router(update_interval=60)

    def ask(start: int, count: int) -> None:
        for number in range(start, start + count):
            environ = {"HTTP_HOST": f"h{number}.test", "REQUEST_METHOD": "GET"}
            list(router.application(environ, lambda *args: lambda data: None))

    ask(0, 5_000)  # past every bound
    tracemalloc.start()
    ask(5_000, 500)
    before = tracemalloc.get_traced_memory()[0]
    ask(5_500, 20_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 6_000_000  # unbounded it were over 20 MB


def test_an_evicted_unknown_vhost_is_still_found(tmp_path: Path, make_router: Any) -> None:
    router = make_router()
    assert get(router.application, "first.test").status == 404
    for number in range(1100):
        assert get(router.application, f"h{number}.test").status == 404
    site(tmp_path, "first.test", "here")
    wait_for(router.application, "first.test", "here")
    site(tmp_path, "first.test", "again")
    wait_for(router.application, "first.test", "again")


def test_many_names_of_one_directory_load_it_once(tmp_path: Path, make_router: Any) -> None:
    source = COUNT
    write(tmp_path / "shop" / "wsgi" / "app.py", source + app("shop"))
    router = make_router(vhost_pattern="%1")
    for number in range(50):
        assert get(router.application, f"shop.host{number}.test").body == "shop"
    assert (tmp_path / "shop" / "loads").read_text() == "x"


def test_a_pattern_with_the_port(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path / "8080", "a.test", "high")
    site(tmp_path / "80", "a.test", "low")
    router = make_router(vhost_pattern="%p/%0")
    for _ in range(2):
        assert get(router.application, "a.test:8080", SERVER_PORT="8080").body == "high"
        assert get(router.application, "a.test", SERVER_PORT="80").body == "low"


def test_concurrent_first_requests_load_once(tmp_path: Path, make_router: Any) -> None:
    for host in ("a.test", "b.test"):
        write(tmp_path / host / "wsgi" / "app.py", COUNT + SLOW + app(host))
    router = make_router()
    start = threading.Barrier(16)

    def ask(number: int) -> None:
        host = "ab"[number % 2] + ".test"
        start.wait()
        assert get(router.application, host).body == host

    in_threads(16, ask)
    for host in ("a.test", "b.test"):
        assert (tmp_path / host / "loads").read_text() == "x"


def test_different_hosts_load_in_parallel(tmp_path: Path, make_router: Any) -> None:
    """Each import ends only when the other has begun: one after the other they never would."""
    for mine, other in ("ab", "ba"):
        source = f"""
        import pathlib, time
        base = pathlib.Path({str(tmp_path)!r})
        (base / "begun-{mine}").touch()
        end = time.monotonic() + 20
        while not (base / "begun-{other}").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        """
        write(tmp_path / f"{mine}.test" / "wsgi" / "app.py", dedent(source) + app(mine))
    router = make_router()
    in_threads(2, lambda n: _same(get(router.application, f"{'ab'[n]}.test").body, "ab"[n]))


def _same(found: str, wanted: str) -> None:
    assert found == wanted


def test_a_request_does_nothing_but_look_up_and_call(tmp_path: Path, make_router: Any) -> None:
    """Whatever a hit costs is visible here: every call that it makes, of Python or C."""
    site(tmp_path, "a.test")
    router = make_router()
    get(router.application, "a.test")
    calls: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)
        elif event == "c_call":
            calls.append(argument.__qualname__)

    environ = {"HTTP_HOST": "a.test", "REQUEST_METHOD": "GET"}
    application = router.application
    start_response: Any = [].append
    sys.setprofile(note)
    try:
        application(environ, lambda *args: start_response)
    finally:
        sys.setprofile(None)
    router_calls = calls[: calls.index("app")]
    assert router_calls == ["application", "next", "getrefcount"]


def test_the_response_is_returned_as_the_application_made_it(
    tmp_path: Path, make_router: Any
) -> None:
    source = """
    class Body:
        def __iter__(self):
            return iter([b"x"])
        def close(self):
            pass
    body = Body()
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        environ["test.body"] = body
        return body
    """
    write(tmp_path / "a.test" / "wsgi" / "app.py", source)
    router = make_router()
    environ: dict[str, Any] = {"HTTP_HOST": "a.test"}
    found = router.application(environ, lambda *args: lambda data: None)
    assert found is environ["test.body"]


def test_an_exception_of_the_application_reaches_the_server(
    tmp_path: Path, make_router: Any
) -> None:
    source = """
    def app(environ, start_response):
        raise LookupError("mine")
    """
    write(tmp_path / "a.test" / "wsgi" / "app.py", source)
    router = make_router()
    for _ in range(2):
        with pytest.raises(LookupError, match="mine"):
            router.application({"HTTP_HOST": "a.test"}, lambda *args: None)


def test_the_environ_names_the_release(tmp_path: Path, make_router: Any) -> None:
    source = """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(environ["mod_wsgi_van.release"]).encode()]
    """
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 7, source))
    router = make_router()
    assert get(router.application, "a.test").body == str(tmp_path / ".builds/a.test/7/wsgi")


def test_error_pages_of_ones_own(tmp_path: Path, make_router: Any) -> None:
    class Ours(Router):
        def not_found(self, environ: Any, start_response: Any) -> Any:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"our 404"]

        def unavailable(self, environ: Any, start_response: Any) -> Any:
            start_response(environ["mod_wsgi_van.status"], [("Content-Type", "text/plain")])
            return [b"our page"]

    write(tmp_path / "broken.test" / "wsgi" / "app.py", "1 / 0")
    router = make_router(Ours)
    assert get(router.application, "none.test").body == "our 404"
    answer = get(router.application, "broken.test")
    assert (answer.status, answer.body) == (500, "our page")


def test_an_override_of_get_server_path_is_trusted(tmp_path: Path, make_router: Any) -> None:
    elsewhere = site(tmp_path / "elsewhere", "real", "outside")

    class Ours(Router):
        def get_server_path(self, host_name: str) -> Path:  # type: ignore[override]
            if host_name == "odd.test":
                raise KeyError(host_name)
            return elsewhere

    (tmp_path / "base").mkdir()
    router = make_router(Ours, base_path=str(tmp_path / "base"))
    assert get(router.application, "a.test").body == "outside"
    assert get(router.application, "odd.test").status == 500


def test_after_shutdown_what_is_loaded_goes_on_answering(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "a.test")
    site(tmp_path, "b.test")
    router = make_router()
    assert get(router.application, "a.test").body == "one"
    router.shutdown()
    router.shutdown()
    assert get(router.application, "a.test").body == "one"
    answer = get(router.application, "b.test")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    wait(lambda: not [t for t in threading.enumerate() if t.name.startswith("van-")])


def test_head_has_no_body(make_router: Any) -> None:
    answer = get(make_router().application, "none.test", REQUEST_METHOD="HEAD")
    assert (answer.status, answer.body) == (404, "")
