"""A shutdown keeps to its time whatever the workers do, and lets those finish that can."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.errors import WorkerFailed
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.isolation.process.pool import Pool
from tests.isolation.process.calling import pid_of, source, vhost
from tests.support.children import runs
from tests.support.client import Call, ask, get, make_environ
from tests.support.vhosts import write
from tests.support.waiting import wait

MakeIsolation = Callable[..., ProcessIsolation]

# None of these ends when it is asked to. Each writes its pid into the file {pid} when it is so far.
STUBBORN = {
    "hangs in an exit handler": "atexit.register(time.sleep, 600); said()",
    "ignores SIGTERM": "signal.signal(15, signal.SIG_IGN); atexit.register(time.sleep, 600);"
    " said()",
    "is stopped": "said(); os.kill(os.getpid(), 19)",
    "holds the GIL": "threading.Timer(0.2, lambda: (said(), re.match('(a+)+$', 'a' * 60 + 'b')))"
    ".start()",
    "still imports": "said(); time.sleep(600)",
    "has a child that ignores SIGTERM": "signal.signal(15, signal.SIG_IGN); os.fork() or ("
    "time.sleep(600)); said()",
}
TEXT = """
import atexit, os, re, signal, threading, time
def said():
    with open({pid!r} + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename({pid!r} + ".new", {pid!r})
{code}
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answered"]
"""


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_no_worker_outlives_the_time_of_a_shutdown(
    make_isolation: MakeIsolation, tmp_path: Path, code: str
) -> None:
    """The setting of each worker's time is longer: the time of the whole goes first."""
    pid = tmp_path / "pid"
    vhost(tmp_path, TEXT.format(pid=str(pid), code=code))
    isolation = make_isolation(shutdown_timeout=60)
    with ThreadPoolExecutor(1) as executor:
        loading = executor.submit(isolation.load, source(tmp_path))
        wait(pid.exists)
        if "600); said" in code:
            loading.result(20).retire()
        begun = time.monotonic()
        isolation.shutdown(2)
        assert time.monotonic() - begun < 10  # not 60; a machine may be busy
        if loading.exception(20) is not None:
            assert isinstance(loading.exception(), WorkerFailed)
    assert not runs(int(pid.read_text()))


def test_a_router_ends_in_the_time_that_mod_wsgi_gives(
    tmp_path: Path, make_router: Callable[..., Router]
) -> None:
    for code, host in [("ignores SIGTERM", "a.test"), ("hangs in an exit handler", "b.test")]:
        pid = tmp_path / f"{host}.pid"
        write(tmp_path / host / "wsgi/app.py", TEXT.format(pid=str(pid), code=STUBBORN[code]))
    router = make_router(isolation="process")
    assert get(router.application, "a.test").body == "answered"
    assert get(router.application, "b.test").body == "answered"
    begun = time.monotonic()
    router.shutdown()
    assert time.monotonic() - begun < 5
    assert not any(runs(int(pid.read_text())) for pid in tmp_path.glob("*.pid"))


class Late(io.BytesIO):
    """A body that comes when it is told to."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.asked, self.comes = threading.Event(), threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        if size and self.tell():  # what comes first is read before there is a worker
            self.asked.set()
            self.comes.wait(20)
        return super().read(size)


def test_a_request_that_ends_in_time_is_answered(make_isolation: MakeIsolation) -> None:
    isolation = make_isolation(shutdown_timeout=60)
    application = isolation.load(source()).application
    with ThreadPoolExecutor(2) as executor:
        body = Late(b"y" * 100_000)
        environ = make_environ("interlock", "POST", CONTENT_LENGTH="100000")
        environ["wsgi.input"] = body
        answer = executor.submit(lambda: Call(application, environ).finish())
        body.asked.wait(20)
        shutdown = executor.submit(isolation.shutdown, 20)
        wait(lambda: ask(application, "empty").status == 503, "the shutdown")
        body.comes.set()
        assert answer.result(20).content == b"Y" * 100_000
        shutdown.result(20)


def test_what_is_being_loaded_answers_before_the_shutdown(
    make_isolation: MakeIsolation, tmp_path: Path
) -> None:
    """Between closing() and shutdown() nothing refuses a load, nor its first request."""
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    vhost(
        tmp_path,
        f"""
        import os, time
        open({str(begun)!r}, "w").close()
        while not os.path.exists({str(go_on)!r}):
            time.sleep(0.005)
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"answered"]
        """,
    )
    isolation = make_isolation()
    other = isolation.load(source(host="other.test"))
    with ThreadPoolExecutor(1) as executor:
        loading = executor.submit(isolation.load, source(tmp_path))
        wait(begun.exists)
        isolation.closing()
        other.retire()
        go_on.touch()
        assert ask(loading.result(20).application).body == "answered"
    isolation.shutdown(5)


def test_to_retire_takes_no_time(make_isolation: MakeIsolation) -> None:
    isolation = make_isolation(shutdown_timeout=600)
    loaded = isolation.load(source())
    pid = pid_of(loaded.application)
    call = Call(loaded.application, make_environ("hangs_later"))
    os.kill(pid, signal.SIGSTOP)
    loaded.retire()
    assert runs(pid), "the end of the worker was waited for"
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not runs(pid))
    call.close()


def test_a_shutdown_beside_loads(make_isolation: MakeIsolation) -> None:
    """Those fail at once and so come thick and fast."""
    isolation = make_isolation()

    def fail() -> None:
        for _ in range(200):
            with pytest.raises(WorkerFailed):
                isolation.load(source(python="/nowhere/python"))

    interval = sys.getswitchinterval()
    with ThreadPoolExecutor(8) as executor:
        failing = [executor.submit(fail) for _ in range(8)]
        sys.setswitchinterval(1e-6)
        try:
            while not all(each.done() for each in failing):
                isolation.shutdown(1)
        finally:
            sys.setswitchinterval(interval)
        for each in failing:
            each.result(20)


def switches(name: str) -> int:
    """How often the thread of this name has woken."""
    (thread,) = [each for each in threading.enumerate() if each.name == name]
    text = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(text.partition("voluntary_ctxt_switches:")[2].split()[0])


def test_nothing_wakes_while_a_worker_is_waited_for(make_isolation: MakeIsolation) -> None:
    """Its last request has not ended, then its exit handler: both are told, not looked for."""
    isolation = make_isolation(shutdown_timeout=60)
    loaded = isolation.load(source())
    pid = pid_of(loaded.application)
    call = Call(loaded.application, make_environ("hangs_later"))
    loaded.retire()

    def is_quiet() -> bool:
        before = switches("van-workers")
        time.sleep(0.3)  # what is measured
        return switches("van-workers") == before

    wait(is_quiet, "a supervisor that sleeps", seconds=20)
    assert runs(pid)
    call.close()


def pools() -> int:
    gc.collect()
    return sum(isinstance(each, Pool) for each in gc.get_objects())


def test_a_closed_pool_is_forgotten(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    """Also when one of its workers becomes ready after it was closed."""
    begun, before = tmp_path / "begun", pools()
    vhost(
        tmp_path,
        f"""
        import os, time
        open({str(begun)!r}, "a").write(str(os.getpid()) + " ")
        while os.path.exists({str(tmp_path / "wait")!r}):
            time.sleep(0.005)
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(os.getpid()).encode()]
        """,
    )
    isolation = make_isolation(idle_timeout=600, max_requests=1)
    loaded = isolation.load(source(tmp_path))
    (tmp_path / "wait").touch()
    ask(loaded.application)
    wait(lambda: len(begun.read_text().split()) == 2, "a fresh worker that is being started")
    loaded.retire()
    (tmp_path / "wait").unlink()
    wait(lambda: not any(runs(int(pid)) for pid in begun.read_text().split()))
    del loaded
    wait(lambda: pools() <= before, "the end of the pool", seconds=20)
