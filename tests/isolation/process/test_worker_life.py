"""How a worker is started, what it has, and how it grows old."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.errors import BadObject, ImportFailed, LoadError, LoadTimeout, WorkerFailed
from mod_wsgi_van.isolation.process import ProcessIsolation, spawn
from mod_wsgi_van.isolation.process.handle import Worker
from mod_wsgi_van.wsgi import Application
from tests.isolation.process.calling import PYTHONS, SITE, make_script, pid_of, source, vhost
from tests.support.children import runs
from tests.support.client import ask
from tests.support.environments import environment
from tests.support.waiting import wait

Load = Callable[..., Application]
MakeIsolation = Callable[..., ProcessIsolation]


# Loading.


@pytest.mark.parametrize("python", sorted(PYTHONS))
def test_an_import_that_fails(make_isolation: MakeIsolation, tmp_path: Path, python: str) -> None:
    vhost(tmp_path, "import part\n")
    (tmp_path / "wsgi" / "part.py").write_text("def f():\n    1 / 0\nf()\n")
    with pytest.raises(ImportFailed, match=r"a\.test.*ZeroDivisionError") as failed:
        make_isolation().load(source(tmp_path, PYTHONS[python]))
    wsgi = tmp_path / "wsgi"
    assert failed.value.files == (str(wsgi / "app.py"), str(wsgi / "part.py"))
    assert failed.value.details.startswith("Traceback (most recent call last):\n")
    assert "worker.py" not in failed.value.details and "importlib" not in failed.value.details
    assert 'part.py", line 2, in f' in failed.value.details


def test_what_a_worker_said_is_read_however_late(
    make_isolation: MakeIsolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine: the worker has ended before the thread that waits for it reads."""
    reaped = threading.Event()
    reap, wait_for = Worker.reap, spawn._await

    def reap_and_tell(self: Worker) -> None:
        reap(self)
        reaped.set()

    def late(*arguments: Any) -> bytes:
        assert reaped.wait(20)
        return wait_for(*arguments)

    monkeypatch.setattr(Worker, "reap", reap_and_tell)
    monkeypatch.setattr(spawn, "_await", late)
    directory = vhost(tmp_path, "1 / 0")
    with pytest.raises(ImportFailed, match="ZeroDivisionError"):
        make_isolation().load(source(directory))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("app = ", ImportFailed, "SyntaxError"),
        ("import sys; sys.exit('no config')", ImportFailed, "SystemExit: no config"),
        ("raise KeyboardInterrupt", ImportFailed, "KeyboardInterrupt"),
        ("import missing_module", ImportFailed, "ModuleNotFoundError"),
        ("other = 1", BadObject, "'app' in .*app.py is missing"),
        ("app = 1", BadObject, "'app' in .*app.py is not callable, but of .*int"),
        ("import os; os._exit(7)", WorkerFailed, "it exited with status 7"),
        ("import os; os.kill(os.getpid(), 9)", WorkerFailed, "signal SIGKILL ended it"),
    ],
)
def test_what_cannot_be_loaded(
    make_isolation: MakeIsolation, tmp_path: Path, text: str, error: type[LoadError], message: str
) -> None:
    with pytest.raises(error, match=message) as failed:
        make_isolation().load(source(vhost(tmp_path, text)))
    if "SyntaxError" in message:
        assert failed.value.files == (str(tmp_path / "wsgi" / "app.py"),)


@pytest.mark.parametrize("python", sorted(PYTHONS))
def test_one_thread_at_import(make_isolation: MakeIsolation, tmp_path: Path, python: str) -> None:
    text = """
        import os, threading
        then = len(threading.enumerate()), len(os.listdir("/proc/self/task"))
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{then} {threading.current_thread().name}".encode()]
    """
    described = source(vhost(tmp_path, text), PYTHONS[python])
    body = ask(make_isolation().load(described).application).body
    assert body.startswith("(1, 1) van-request-")


def test_a_site_that_gevent_patches_first(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    text = """
        from gevent import monkey
        monkey.patch_all()
        import atexit, subprocess, threading, time
        atexit.register(open, "ended", "w")
        lock = threading.Lock()
        def app(environ, start_response):
            done = []
            thread = threading.Thread(target=lambda: time.sleep(0.01) or done.append("done"))
            with lock:
                thread.start()
                thread.join()
            subprocess.run(["true"], check=True)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [done[0].encode() * int(environ["QUERY_STRING"])]
    """
    vhost(tmp_path, text.replace("ended", str(tmp_path / "ended")))
    python = environment(sys.executable, ["gevent==26.9.0"]) / "bin" / "python"
    instance = make_isolation().load(source(tmp_path, str(python)))

    def times(number: int) -> str:
        return ask(instance.application, QUERY_STRING=str(number)).body

    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(times, [1, 1_000_000] * 20)) == ["done", "done" * 1_000_000] * 20
    instance.retire()
    wait((tmp_path / "ended").exists, "the exit handler")


def test_an_import_that_never_ends(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    text = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    vhost(tmp_path, text + "time.sleep(600)")
    with pytest.raises(LoadTimeout, match=r"within 0\.5 s"):
        make_isolation(load_timeout=0.5).load(source(tmp_path))
    pid = int((tmp_path / "pid").read_text())
    wait(lambda: not runs(pid))


def test_a_shutdown_does_not_wait_for_an_import(
    make_isolation: MakeIsolation, tmp_path: Path
) -> None:
    text = f"import time\nopen({str(tmp_path / 'begun')!r}, 'w').close()\ntime.sleep(600)"
    vhost(tmp_path, text)
    isolation = make_isolation(load_timeout=600)
    with ThreadPoolExecutor(1) as executor:
        loading = executor.submit(isolation.load, source(tmp_path))
        wait((tmp_path / "begun").exists)
        isolation.shutdown(5)
        with pytest.raises(WorkerFailed):
            loading.result(20)
    with pytest.raises(WorkerFailed, match="shutting down"):
        isolation.load(source())


def test_a_python_that_cannot_start(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    isolation = make_isolation()
    with pytest.raises(WorkerFailed, match="python3 -m venv") as failed:
        isolation.load(source(python=str(tmp_path / "bin" / "python")))
    assert str(tmp_path / "bin" / "python") in str(failed.value)
    (tmp_path / "text").write_text("no program")
    with pytest.raises(WorkerFailed, match="Permission denied"):
        isolation.load(source(python=str(tmp_path / "text")))
    broken = make_script(tmp_path / "broken", "#!/bin/sh\necho no such library >&2\nexit 127\n")
    with pytest.raises(WorkerFailed, match="it exited with status 127") as failed:
        isolation.load(source(python=broken))
    assert failed.value.details == "no such library"
    with pytest.raises(WorkerFailed):
        isolation.load(source(python=make_script(tmp_path / "python2", "#!/bin/cat\n")))


def test_site_packages_of_the_hook_are_added(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "more.pth").write_text(str(tmp_path / "by_pth"))
    (tmp_path / "by_pth").mkdir()
    asked = source()
    packages = (str(tmp_path / "extra"), str(tmp_path / "missing"))
    asked = type(asked)(
        **{name: getattr(asked, name) for name in asked.__slots__} | {"site_packages": packages}
    )
    path = ask(make_isolation().load(asked).application, "about").json["path"]
    assert path[0] == str(SITE / "wsgi") and str(tmp_path / "extra") in path
    assert str(tmp_path / "by_pth") in path


# What a worker has.


def test_nothing_is_inherited(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    monkeypatch.setenv("SITE_SETTING", "5")
    inheritable = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        about = ask(load(), "about").json
    finally:
        os.close(inheritable)
    assert not [name for name in about["environ"] if name.startswith("PYTHON")]
    assert "VIRTUAL_ENV" not in about["environ"]
    assert about["environ"]["SITE_SETTING"] == "5"
    # libffi 3.5 keeps its own file open, from which it maps its closures.
    targets = [each for each in about["descriptors"].values() if "/libffi.so" not in each]
    kinds = [target.partition(":")[0] for target in targets]
    # stdin; stdout, stderr and the lifeline; the control socket and this connection
    assert sorted(kinds) == ["/dev/null", "pipe", "pipe", "pipe", "socket", "socket"]


def test_process_environ(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SITE_A", "SITE_B", "OTHER"):
        monkeypatch.setenv(name, name.lower())
    application = load(process_environ=("SITE_*", "OTHER=else", "PYTHONHASHSEED=5"))
    environ = ask(application, "about").json["environ"]
    environ.pop("LC_CTYPE", None)  # PEP 538: Python sets it where there is no locale
    assert environ == {
        "SITE_A": "site_a",
        "SITE_B": "site_b",
        "OTHER": "else",
        "PYTHONHASHSEED": "5",
    }


def capture(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Not capfd: what is written while it is read would be lost. Called in the test: pytest's own
    capturing would take the place of what a fixture put there."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_output_reaches_stderr_with_the_name(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = capture(monkeypatch)
    application = load()
    ask(application, "talks")
    expected = [
        "to wsgi.errors",
        "to stdout",
        "to stderr \u20ac",
        "to logging",
        "\\x1b[31mforged",
        "from a child",
    ]
    wait(lambda: "from a child\n" in stderr.getvalue())
    assert stderr.getvalue().splitlines() == [f"[a.test] {line}" for line in expected]


def test_much_at_once_loses_nothing(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = capture(monkeypatch)
    application = load()
    ask(application, "floods", QUERY_STRING="30")
    wait(lambda: stderr.getvalue().count("flood ") == 30000)


# Growing old.


def test_max_requests(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    """The fresh worker is warm when it takes over: no request waits for it, none fails."""
    caplog.set_level(logging.INFO)
    application = load(max_requests=20)
    first = pid_of(application)

    def ask_until_it_is_replaced(_: int) -> None:
        wait(lambda: pid_of(application) != first, "a fresh worker")

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(ask_until_it_is_replaced, range(4)))
    wait(lambda: not runs(first))
    wait(lambda: "(max_requests)" in caplog.text)
    assert "VAN03" not in caplog.text


def test_a_worker_that_is_replaced_answers_what_it_has(load: Load) -> None:
    application = load(max_requests=5, shutdown_timeout=0.2)
    first = pid_of(application)
    with ThreadPoolExecutor(1) as executor:
        slow = executor.submit(ask, application, "sleeps", REQUEST_METHOD="POST", QUERY_STRING="2")
        wait(lambda: pid_of(application) != first, "a fresh worker")
        assert not slow.done()
        assert slow.result().body == str(first)
    wait(lambda: not runs(first))


@pytest.mark.parametrize("python", sorted(PYTHONS))
@pytest.mark.parametrize(
    ("names", "entry"),
    [
        ({"object_name": "make", "factory": True}, "app:make()"),
        ({"object_name": "app", "second_name": "application"}, "app:application"),
    ],
)
def test_a_factory_a_second_name_and_variables(
    make_isolation: MakeIsolation, tmp_path: Path, python: str, names: Any, entry: str
) -> None:
    text = """
        import os
        def make():
            def app(environ, start_response):
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [os.environ["COLOUR"].encode()]
            return app
        application = make()
    """
    described = source(vhost(tmp_path, text), PYTHONS[python])
    made = make_isolation().load(replace(described, env={"COLOUR": "grün"}, **names))
    assert (ask(made.application).body, made.entry) == ("grün", entry)


def test_idle_workers_are_given_back(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    application = load(idle_timeout=0.2)
    for _ in range(2):
        pid = pid_of(application)
        wait(lambda pid=pid: not runs(pid))
    assert pid_of(application) != pid
    wait(lambda: "given back after 0.2 s idle" in caplog.text)
    assert "VAN03" not in caplog.text


def test_a_busy_worker_is_not_idle(load: Load) -> None:
    application = load(idle_timeout=0.2)
    pid = pid_of(application)
    with ThreadPoolExecutor(1) as executor:
        busy = executor.submit(ask, application, "sleeps", QUERY_STRING="0.7")
        assert busy.result(20).json == pid


def test_several_workers_of_a_vhost(load: Load) -> None:
    application = load(processes_per_vhost=2, process_threads=1)
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(ask, application, "sleeps", QUERY_STRING="1") for _ in range(2)]
        pids = {future.result(20).json for future in futures}
    assert len(pids) == 2
    seen = ask(application, "echo").json["environ"]
    assert seen["wsgi.multiprocess"] == "True" and seen["wsgi.multithread"] == "False"
    os.kill(pids.pop(), signal.SIGKILL)

    def two_again() -> bool:
        with ThreadPoolExecutor(2) as executor:
            asked = [executor.submit(ask, application, "sleeps", QUERY_STRING="0.1")] * 1
            asked.append(executor.submit(ask, application, "sleeps", QUERY_STRING="0.1"))
            return len({each.result(20).json for each in asked}) == 2

    wait(two_again, "a second worker")
