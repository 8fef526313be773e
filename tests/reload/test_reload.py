"""Reload and unload: atomic for requests, complete for what is replaced."""

from __future__ import annotations

import gc
import os
import random
import shutil
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get, wait_for
from tests.support.links import swap
from tests.support.threads import in_threads
from tests.support.venvs import make_venv
from tests.support.vhosts import app, deploy, release, site, write
from tests.support.waiting import wait

PAST = 1_600_000_000


@pytest.fixture(params=["auto", "polling"], autouse=True)
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test here with events and without."""
    monkeypatch.setenv("MOD_WSGI_VAN_WATCH", request.param)
    return str(request.param)


def age(directory: Path) -> None:
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (PAST, PAST), follow_symlinks=False)


def test_a_swap_to_a_release_with_the_same_times(tmp_path: Path, make_router: Any) -> None:
    for number in (1, 2):
        age(release(tmp_path, "a.test", number, app(str(number))))
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    router = make_router()
    assert get(router.application, "a.test").body == "1"
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/2")
    wait_for(router.application, "a.test", "2")


LOAD_ID = """
import itertools, os, pathlib
from package import module
counter = pathlib.Path(__file__).parent.parent / "loads"
with open(counter, "a") as file:
    file.write("x")
loads = os.path.getsize(counter)
def app(environ, start_response):
    body = f"{loads} {getattr(module, 'VALUE', 0)}".encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A vhost that answers how often it was loaded; its files lie in the past."""
    path = tmp_path / "a.test"
    write(path / "wsgi" / "app.py", LOAD_ID)
    write(path / "wsgi" / "package" / "__init__.py", "")
    write(path / "wsgi" / "package" / "module.py", "VALUE = 1\n")
    age(path)
    return path


def test_what_reloads(counting: Path, make_router: Any) -> None:
    wsgi = counting / "wsgi"

    def atomic_save() -> None:
        (wsgi / "package" / ".module.py.a1B2c3").write_text("VALUE = 3\n")
        os.replace(wsgi / "package" / ".module.py.a1B2c3", wsgi / "package" / "module.py")

    router = make_router()
    assert get(router.application, "a.test").body == "1 1"
    for number, (change, value) in enumerate(
        [
            (lambda: (wsgi / "package" / "module.py").write_text("VALUE = 2\n"), 2),
            (atomic_save, 3),
            (lambda: (wsgi / "package" / "new.py").write_text(""), 3),
            (lambda: os.utime(wsgi), 3),
            (lambda: os.utime(wsgi / "app.py"), 3),
            (lambda: (wsgi / "package" / "new.py").unlink(), 3),
        ],
        start=2,
    ):
        change()
        wait_for(router.application, "a.test", f"{number} {value}")


def test_what_does_not_reload(counting: Path, make_router: Any) -> None:
    wsgi = counting / "wsgi"
    router = make_router(watch_ignore=("__pycache__", "*.pyc", "*.swp", "data"))
    assert get(router.application, "a.test").body == "1 1"
    (wsgi / "__pycache__").mkdir(exist_ok=True)
    (wsgi / "__pycache__" / "x.pyc").write_bytes(b"")
    (wsgi / "package" / "__pycache__").mkdir(exist_ok=True)
    (wsgi / ".app.py.swp").write_text("")
    write(wsgi / "data" / "upload.txt", "")
    for path in wsgi.rglob("*.py"):
        path.read_text()
    site(counting.parent, "b.test", "1")
    assert get(router.application, "b.test").body == "1"
    site(counting.parent, "b.test", "2")
    wait_for(router.application, "b.test", "2")  # by then the reloader has seen all of the above
    time.sleep(0.5)  # and the poller has swept
    assert get(router.application, "a.test").body == "1 1"
    os.utime(wsgi)
    wait_for(router.application, "a.test", "2 1")


def test_watch_paths(counting: Path, make_router: Any) -> None:
    router = make_router(watch_paths=["restart.txt", "settings"])
    assert get(router.application, "a.test").body == "1 1"
    (counting / "restart.txt").touch()
    wait_for(router.application, "a.test", "2 1")
    write(counting / "settings" / "site.toml", "")
    wait_for(router.application, "a.test", "3 1")
    (counting / "restart.txt").touch()
    wait_for(router.application, "a.test", "4 1")


def test_a_swap_of_the_environment(counting: Path, make_router: Any) -> None:
    for name in ("v1", "v2"):
        make_venv(counting / name)
    (counting / ".venv").symlink_to("v1")
    router = make_router()
    assert get(router.application, "a.test").body == "1 1"
    swap(counting / ".venv", "v2")
    wait_for(router.application, "a.test", "2 1")


def test_an_override_of_get_version_decides(counting: Path, make_router: Any) -> None:
    number = counting.parent / "number"
    number.write_text("1")

    class Ours(Router):
        def get_version(self, path: Path) -> object:
            return number.read_text()

    router = make_router(Ours)
    assert get(router.application, "a.test").body == "1 1"
    (counting / "wsgi" / "package" / "module.py").write_text("VALUE = 2\n")
    time.sleep(0.5)
    assert get(router.application, "a.test").body == "1 1"
    number.write_text("2")  # far from anything that is watched
    wait_for(router.application, "a.test", "2 2")


def test_delete_and_create_again(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "a.test", "first")
    router = make_router()
    assert get(router.application, "a.test").body == "first"
    shutil.rmtree(tmp_path / "a.test")
    wait(lambda: get(router.application, "a.test").status == 404)
    site(tmp_path, "a.test", "second")
    wait_for(router.application, "a.test", "second")
    site(tmp_path, "a.test", "third")
    wait_for(router.application, "a.test", "third")


STREAM = """
import atexit, pathlib
base = pathlib.Path({base!r})
atexit.register(lambda: (base / "exited-{text}").touch())
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/stream":
        return (b"{text}" for _ in range(3))
    return [b"{text}"]
"""


def stream(base: Path, text: str) -> str:
    return STREAM.format(base=str(base), text=text)


def test_requests_under_way_finish_on_their_release(tmp_path: Path, make_router: Any) -> None:
    for number in (1, 2):
        release(tmp_path, "a.test", number, stream(tmp_path, str(number)))
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    router = make_router()
    environ = {"HTTP_HOST": "a.test", "PATH_INFO": "/stream", "REQUEST_METHOD": "GET"}
    response = iter(router.application(environ, lambda *args: None))  # type: ignore[arg-type]
    assert next(response) == b"1"
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/2")
    wait_for(router.application, "a.test", "2")
    time.sleep(0.2)
    assert not (tmp_path / "exited-1").exists()
    assert list(response) == [b"1", b"1"]
    del environ  # as a server does when the request is over
    wait((tmp_path / "exited-1").exists, "the exit handlers of the first release")
    assert not (tmp_path / "exited-2").exists()
    router.shutdown()
    wait((tmp_path / "exited-2").exists, "the exit handlers of the second release")


def test_requests_under_way_finish_when_the_vhost_is_deleted(
    tmp_path: Path, make_router: Any
) -> None:
    write(tmp_path / "a.test" / "wsgi" / "app.py", stream(tmp_path, "1"))
    router = make_router()
    environ = {"HTTP_HOST": "a.test", "PATH_INFO": "/stream", "REQUEST_METHOD": "GET"}
    response = iter(router.application(environ, lambda *args: None))  # type: ignore[arg-type]
    shutil.rmtree(tmp_path / "a.test")
    wait(lambda: get(router.application, "a.test").status == 404)
    assert list(response) == [b"1", b"1", b"1"]
    assert not (tmp_path / "exited-1").exists()
    del environ
    wait((tmp_path / "exited-1").exists, "the exit handlers")


def test_the_grace_period(tmp_path: Path, make_router: Any) -> None:
    for number in (1, 2):
        release(tmp_path, "a.test", number, stream(tmp_path, str(number)))
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    router = make_router(grace_period=0.3)
    environ = {"HTTP_HOST": "a.test", "PATH_INFO": "/stream", "REQUEST_METHOD": "GET"}
    response = iter(router.application(environ, lambda *args: None))  # type: ignore[arg-type]
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/2")
    wait((tmp_path / "exited-1").exists, "the end of the grace period")
    assert list(response) == [b"1", b"1", b"1"]


def test_an_edit_is_taken_when_it_has_settled(counting: Path, make_router: Any) -> None:
    """While files change all the time nothing is loaded, until 10 times settle have passed."""
    router = make_router(settle=0.3)
    assert get(router.application, "a.test").body == "1 1"
    module = counting / "wsgi" / "package" / "module.py"
    module.write_text("VALUE = 1\n")
    started = last = time.monotonic()
    number, longest = 10, 0.0
    while get(router.application, "a.test").body == "1 1":
        number += 1
        module.write_text(f"VALUE = {number}\n")
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert last - started < 20
        time.sleep(0.01)
    # The first of these writes alone would have been taken at once, were there no pause.
    assert number > 15 or longest > 0.2, longest


def test_a_writer_without_pause_delays_no_other(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "busy.test", "busy")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(settle=5)
    assert get(router.application, "busy.test").body == "busy"
    assert get(router.application, "a.test").body == "1"
    stop = threading.Event()

    def write_on() -> None:
        while not stop.wait(0.001):
            (tmp_path / "busy.test" / "wsgi" / "data.txt").write_text(str(time.time()))

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for number in range(2, 12):
            deploy(tmp_path, "a.test", release(tmp_path, "a.test", number, app(str(number))))
            wait_for(router.application, "a.test", str(number))
    finally:
        stop.set()
        writer.join()
    assert get(router.application, "busy.test").body == "busy"


def test_old_releases_are_gone(tmp_path: Path, make_router: Any) -> None:
    source = """
    import weakref
    class Big:
        pass
    big = Big()
    big.self = big
    def app(environ, start_response):
        environ["test.seen"].append(weakref.ref(big))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%s"]
    """
    seen: list[weakref.ref[Any]] = []
    router = make_router()
    for number in range(1, 31):
        number_source = source.replace("%s", str(number))
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", number, number_source))
        wait(
            lambda wanted=str(number): (
                get(router.application, "a.test", **{"test.seen": seen}).body == wanted
            )
        )

    def left() -> int:
        gc.collect()
        return len({id(found) for reference in seen if (found := reference()) is not None})

    wait(lambda: left() == 1, "the old releases to go")


MIXED = """
from package import VALUE
import package.other
def app(environ, start_response):
    import package.late
    body = f"{number} {{VALUE}} {{package.other.VALUE}} {{package.late.VALUE}}".encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([body])
"""


def test_deploys_under_load(tmp_path: Path, make_router: Any) -> None:
    """No answer is a mix of two releases, an error, or older than one that its client had."""
    deploys = 30

    def build(host: str, number: int) -> Path:
        directory = release(tmp_path, host, number, MIXED.format(number=number))
        for name in ("__init__", "other", "late"):
            write(directory / "wsgi" / "package" / f"{name}.py", f"VALUE = {number}\n")
        return directory

    hosts = ("a.test", "b.test")
    for host in hosts:
        deploy(tmp_path, host, build(host, 0))
    router = make_router()
    done = threading.Event()

    def client(number: int) -> None:
        newest = dict.fromkeys(hosts, 0)
        while not done.is_set():
            host = random.choice(hosts)
            answer = get(router.application, host)
            numbers = set(answer.body.split())
            assert answer.status == 200, answer
            assert len(numbers) == 1, answer.body
            assert int(answer.body.split()[0]) >= newest[host]
            newest[host] = int(answer.body.split()[0])
            time.sleep(random.random() / 500)  # else the clients alone have the processor

    def served(host: str, number: int) -> None:
        wait_for(router.application, host, " ".join([str(number)] * 4))

    def deployer() -> None:
        try:
            for number in range(1, deploys + 1):
                for host in hosts:
                    deploy(tmp_path, host, build(host, number))
                    if random.random() < 0.3:
                        served(host, number)
            for host in hosts:
                served(host, deploys)
        finally:
            done.set()

    in_threads(7, lambda number: client(number) if number else deployer())


def test_a_hammered_vhost_that_is_deleted_and_made_again(tmp_path: Path, make_router: Any) -> None:
    router = make_router(settle=0.01)
    done = threading.Event()

    def client(number: int) -> None:
        while not done.is_set():
            answer = get(router.application, "a.test")
            assert answer.status in (200, 404), answer

    def admin() -> None:
        try:
            for number in range(12):
                deploy(tmp_path, "a.test", release(tmp_path, "a.test", number, app(str(number))))
                wait_for(router.application, "a.test", str(number))
                (tmp_path / "a.test").unlink()
                wait(lambda: get(router.application, "a.test").status == 404)
        finally:
            done.set()

    in_threads(5, lambda number: client(number) if number else admin())
