"""How many threads of the server each site may hold."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.isolation.process.exchange import ResponseBroken
from mod_wsgi_van.wsgi import Environ
from tests.support.client import Call, get, make_environ
from tests.support.threads import in_threads
from tests.support.vhosts import deploy, release, write
from tests.support.waiting import wait

THREADS = 8
APP = """
import os, signal, time

KEPT = []

def app(environ, start_response):
    kind = environ["PATH_INFO"][1:]
    if kind == "keep":
        KEPT.append(environ)
    if kind == "raise":
        raise ValueError(kind)
    if kind == "exit":
        raise SystemExit
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if kind == "short":
        time.sleep(0.02)
    return blocks() if kind == "stream" else [b"one"]

def blocks():
    yield b"one"
    yield b"two"
"""


class Served:
    """A server as mod_wsgi is one: it has a number of threads, and notes on what is under way."""

    def __init__(self, threads: int = THREADS) -> None:
        self.active_requests: dict[int, dict[str, Any]] = {}
        self.threads_per_process = threads
        self.router: Router
        self._numbers = itertools.count()
        self._own = threading.local()

    def request_data(self) -> dict[str, Any]:
        if not hasattr(self._own, "notes"):
            raise RuntimeError("no active request for thread")
        notes: dict[str, Any] = self._own.notes
        return notes

    def begin(self, host: str, path: str = "stream", **more: Any) -> Held:
        number = next(self._numbers)
        self._own.notes = self.active_requests[number] = {}
        environ = make_environ(path, HTTP_HOST=host, **more)
        try:
            call = Call(self.router.application, environ)
        except BaseException:
            del self.active_requests[number]
            raise
        return Held(call, environ, lambda: self.active_requests.pop(number))

    def fill(self, host: str, most: int = 100) -> list[Held]:
        """Begin requests until one is refused; return those that are not."""
        held = []
        for _ in range(most):
            held.append(self.begin(host))
            if held[-1].status != 200:
                held.pop().end()
                break
        return held


class Held:
    """A request that has a thread until ``end``."""

    def __init__(self, call: Call, environ: Environ, over: Callable[[], object]) -> None:
        self.environ: Environ | None = environ
        self.status = int(call.head[0].split()[0])
        self.headers = dict(call.head[1])
        self._call: Call | None = call
        self._over = over

    def end(self, *, read: bool = True) -> str:
        """Return the body, where it is wanted."""
        assert self._call is not None
        try:
            if read:
                return self._call.finish().body
            self._call.close()
            return ""
        finally:
            self._call = self.environ = None
            self._over()


@pytest.fixture
def served(
    tmp_path: Path, make_router: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Served]:
    def make(threads: int = THREADS, **settings: Any) -> Served:
        server = Served(threads)
        known = {name: getattr(server, name) for name in ("active_requests", "request_data")}
        module = SimpleNamespace(threads_per_process=threads, **known)
        monkeypatch.setitem(sys.modules, "mod_wsgi", module)
        server.router = make_router(**{"isolation": "imports"} | settings)
        return server

    for host in "abcdefgh":
        write(tmp_path / f"{host}.test" / "wsgi" / "app.py", APP)
    return make


def test_a_slow_site_leaves_room_for_the_others(served: Any, caplog: Any) -> None:
    server = served(32)
    first = server.fill("a.test")
    assert len(first) == 27
    refused = server.begin("a.test")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    refused.end()
    second, third = server.fill("b.test"), server.fill("c.test")
    assert (len(second), len(third)) == (3, 1)
    one = server.begin("d.test")
    assert one.status == 200
    one.end()
    lines = [line for line in caplog.messages if "VAN043" in line]
    assert [line.split(":")[0] for line in lines] == ["a.test", "b.test", "c.test"]
    assert "27 of 32 threads" in lines[0]
    for held in (*first, *second, *third):
        held.end()


def test_what_gets_free_goes_to_the_site_that_holds_less(served: Any) -> None:
    server = served(32)
    held = {host: server.fill(host) for host in ("a.test", "b.test", "c.test")}
    for _ in range(60):
        for mine in held.values():
            if mine:
                mine.pop(0).end()
            for other in held:
                held[other] += server.fill(other, 1)
    assert all(7 <= len(mine) <= 14 for mine in held.values()), list(map(len, held.values()))
    for one in itertools.chain(*held.values()):
        one.end()


def test_a_site_whose_requests_end_soon_is_not_refused(served: Any) -> None:
    server = served()
    assert get(server.router.application, "a.test", "short", HTTP_HOST="a.test").status == 200
    statuses: list[int] = []

    def ask(_: int) -> None:
        for _ in range(40):
            held = server.begin("a.test", "short")
            statuses.append(held.status)
            held.end()

    in_threads(THREADS, ask)
    assert statuses == [200] * 40 * THREADS


def test_a_site_may_have_a_limit_of_its_own(tmp_path: Path, served: Any) -> None:
    write(tmp_path / "b.test" / "van.toml", "max_concurrency = 1\n")
    write(tmp_path / "c.test" / "van.toml", "max_concurrency = 9\n")
    server = served(64, max_concurrency=3)
    for host, most in (("a.test", 3), ("b.test", 1), ("c.test", 3)):
        for _ in range(3):
            held = server.fill(host)
            assert len(held) == most
            for one in held:
                one.end(read=False)


def test_the_limit_holds_over_a_deploy(tmp_path: Path, served: Any) -> None:
    server = served(64, max_concurrency=3)
    base = tmp_path
    for number in (1, 2):
        made = release(base, "swapped.test", number, APP.replace('b"one"', f'b"{number}"'))
        deploy(base, "swapped.test", made)
        wait(lambda: _answers(server, "swapped.test") == f"{number}")  # noqa: B023
        if number == 1:
            held = server.fill("swapped.test", 2)
    held += server.fill("swapped.test")
    assert len(held) == 3
    for one in held:
        one.end()


def _answers(server: Served, host: str) -> str:
    held = server.begin(host, "")
    return held.end()


def test_environs_that_an_application_keeps_hold_no_thread(served: Any) -> None:
    for settings in ({}, {"max_concurrency": 2}):
        server = served(**settings)
        for _ in range(100):
            held = server.begin("a.test", "keep")
            assert held.status == 200
            held.end()
        others = server.fill("b.test")
        held = server.begin("a.test")
        assert held.status == 200
        for one in (*others, held):
            one.end()


def test_another_server_is_told_how_many_threads_it_has(make_router: Any, served: Any) -> None:
    served()
    sys.modules["mod_wsgi"] = SimpleNamespace()  # type: ignore[assignment]
    for settings, most in (({"server_threads": 8}, 5), ({"max_concurrency": 2}, 2), ({}, 50)):
        router = make_router(isolation="imports", **settings)
        for host in ("a.test", "b.test"):
            # A server keeps the environ of a request while that is under way.
            environs = [make_environ("stream", HTTP_HOST=host) for _ in range(50)]
            calls = [Call(router.application, environ) for environ in environs]
            statuses = [call.head[0][:3] for call in calls]
            assert statuses == ["200"] * most + ["503"] * (50 - most)
            for call in calls:
                call.close()
            del environs, calls, call


def test_what_is_no_request_of_the_servers_takes_no_thread(served: Any) -> None:
    server = served()
    held = server.fill("a.test")
    bodies: list[str] = []

    def ask(_: int) -> None:
        bodies.append(get(server.router.application, "a.test").body)

    in_threads(2, ask)
    assert bodies == ["one"] * 2
    for one in held:
        one.end()


@pytest.mark.parametrize(
    ("isolation", "rounds", "ends"),
    [("imports", 400, []), ("process", 60, ["die"])],
    ids=["imports", "process"],
)
def test_nothing_stays_counted_whatever_ends_a_request(
    served: Any, isolation: str, rounds: int, ends: list[str]
) -> None:
    server = served(isolation=isolation)
    seed = random.randrange(1 << 32)

    def hammer(number: int) -> None:
        chance = random.Random(seed + number)
        for _ in range(rounds):
            host = chance.choice(["a.test", "b.test", "c.test"])
            ways = ["", "stream", "short"] * 10 + ["raise", "exit"] * 5 + ends
            path = chance.choice(ways)
            try:
                held = server.begin(host, path)
                if chance.random() < 0.2:
                    time.sleep(chance.random() * 0.01)
                held.end(read=chance.random() < 0.7)
            except BaseException as error:
                broken = isinstance(error, ResponseBroken) and bool(ends)
                assert broken or path in ("raise", "exit"), repr(error)

    in_threads(THREADS, hammer)
    assert server.active_requests == {}
    for host in ("a.test", "b.test", "c.test"):
        wait(lambda: _answers(server, host) == "one", host)  # noqa: B023
        # The pause lets be forgotten that its requests ended soon.
        what = f"the share of {host}, seed {seed}"
        wait(lambda: _share(server, host) == 5, what, pause=1.1)  # noqa: B023


def _share(server: Served, host: str) -> int:
    held = server.fill(host)
    for one in held:
        one.end()
    return len(held)


def test_a_site_that_was_quick_and_hangs_leaves_threads_to_the_others(served: Any) -> None:
    server = served(32)
    server.begin("a.test").end()
    over = threading.Event()

    def ask(_: int) -> None:
        while not over.is_set():
            server.begin("a.test", "short").end()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    try:
        release, *_ = [site.release for site in server.router._sites]
        wait(lambda: release.share.quick, "it is known to be quick")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    held = server.fill("a.test")
    assert len(held) == 30
    other = server.begin("b.test")
    assert other.status == 200
    for one in (*held, other):
        one.end()
