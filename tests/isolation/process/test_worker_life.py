"""From the start of a worker to its end, whoever's end that is."""

from __future__ import annotations

import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mod_wsgi_van.errors import BadObject, ImportFailed, LoadError, LoadTimeout, WorkerFailed
from mod_wsgi_van.isolation.contract import Application
from mod_wsgi_van.isolation.process import ProcessIsolation, ProcessSettings

from .calling import PYTHONS, SITE, Call, ask, make_environ, runs, source, wait

Load = Callable[..., Application]
MakeIsolation = Callable[..., ProcessIsolation]


def vhost(directory: Path, text: str) -> Path:
    (directory / "wsgi").mkdir(parents=True)
    (directory / "wsgi" / "app.py").write_text(textwrap.dedent(text))
    return directory


def pid_of(application: Application) -> int:
    pid: int = ask(application, "about").json["pid"]
    return pid


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
        isolation.shutdown()
        with pytest.raises(WorkerFailed):
            loading.result(20)
    with pytest.raises(WorkerFailed, match="shutting down"):
        isolation.load(source())


def make_script(path: Path, text: str) -> str:
    path.write_text(textwrap.dedent(text))
    path.chmod(stat.S_IRWXU)
    return str(path)


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


def test_an_environment_behind_a_link_stays_with_its_release(
    make_isolation: MakeIsolation, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", tmp_path / name / ".venv"], check=True
        )
        packages = next((tmp_path / name / ".venv/lib").glob("python*/site-packages"))
        (packages / "lazy.py").write_text(f"name = {name!r}\n")
        vhost(
            tmp_path / name,
            """
            def app(environ, start_response):
                import lazy
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [lazy.name.encode()]
            """,
        )
    link = tmp_path / "link"
    link.symlink_to("one")
    behind = source(tmp_path / "one", str(link / ".venv" / "bin" / "python"))
    application = make_isolation().load(behind).application
    link.unlink()
    link.symlink_to("two")
    assert ask(application, "").body == b"one"


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
    kinds = [target.partition(":")[0] for target in about["descriptors"].values()]
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


def test_output_reaches_stderr_with_the_name(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
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
    written = ""

    def complete() -> bool:
        nonlocal written
        written += capfd.readouterr().err
        return "from a child\n" in written

    wait(complete)
    assert written.splitlines() == [f"[a.test] {line}" for line in expected]


def test_a_flood_is_held_back_and_loses_nothing(
    load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    application = load()
    ask(application, "floods", QUERY_STRING="30")
    written = ""

    def complete() -> bool:
        nonlocal written
        written += capfd.readouterr().err
        return written.count("flood ") == 30000

    wait(complete)


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
    assert "(max_requests)" in caplog.text and "VAN03" not in caplog.text


def test_idle_workers_are_given_back(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    application = load(idle_timeout=0.2)
    for _ in range(2):
        pid = pid_of(application)
        wait(lambda pid=pid: not runs(pid))
    assert pid_of(application) != pid
    assert "given back after 0.2 s idle" in caplog.text and "VAN03" not in caplog.text


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


# The end.


@pytest.mark.parametrize("python", sorted(PYTHONS))
def test_exit_handlers_run_and_requests_end_first(
    make_isolation: MakeIsolation, tmp_path: Path, python: str
) -> None:
    vhost(
        tmp_path,
        f"""
        import atexit, threading, time
        atexit.register(lambda: open({str(tmp_path / "exit")!r}, "w").close())
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"first"
            time.sleep(0.5)
            yield b"last"
        """,
    )
    loaded = make_isolation().load(source(tmp_path, PYTHONS[python]))
    call = Call(loaded.application, make_environ(""))
    assert next(call.blocks) == b"first"
    loaded.retire()
    loaded.retire()
    assert call.finish().body == b"last"
    wait((tmp_path / "exit").exists)
    assert ask(loaded.application, "").status == "503 Service Unavailable"


def test_an_exit_handler_that_hangs(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    text = "import atexit, os, time\natexit.register(time.sleep, 600)\n"
    text += "def app(environ, start_response):\n    start_response('200 OK', [])\n"
    vhost(tmp_path, text + "    return [b'%d' % os.getpid()]\n")
    isolation = make_isolation(shutdown_timeout=0.2)
    loaded = isolation.load(source(tmp_path))
    call = Call(loaded.application, make_environ(""))
    pid = int(call.finish().body)
    loaded.retire()
    wait(lambda: not runs(pid))


def test_a_shutdown_ends_all_workers(make_isolation: MakeIsolation) -> None:
    isolation = make_isolation()
    applications = [isolation.load(source(host=f"{n}.test")).application for n in range(5)]
    pids = [pid_of(application) for application in applications]
    isolation.shutdown()
    isolation.shutdown()
    assert not any(runs(pid) for pid in pids)
    assert ask(applications[0], "about").status == "503 Service Unavailable"


ROUTER = """
import os, sys, threading, time
sys.path[:0] = [{tests!r}]
from calling import *
from mod_wsgi_van.isolation.process import ProcessIsolation, ProcessSettings
isolation = ProcessIsolation(ProcessSettings())
applications = [isolation.load(source(host=f"{{n}}.test")).application for n in range(3)]
pids = [ask(application, "about").json["pid"] for application in applications]
"""


def start_router(text: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A router in a process of its own; the processes that it prints."""
    program = ROUTER.format(tests=str(Path(__file__).parent)) + textwrap.dedent(text)
    router = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert router.stdout is not None
    pids = [int(word) for word in router.stdout.readline().split()]
    router.stdout.close()
    return router, pids


@pytest.mark.parametrize(
    "state", ["idle", "holds_the_gil", "hangs", "stopped", "loading", "child holds sockets"]
)
def test_workers_end_when_their_router_is_killed(state: str) -> None:
    """With SIGKILL: it cannot say goodbye, and not every worker can listen."""
    router, pids = start_router(
        f"""
        state = {state!r}
        if state in ("holds_the_gil", "hangs"):
            for application in applications:
                threading.Thread(target=ask, args=(application, state), daemon=True).start()
            time.sleep(0.3)
        if state == "stopped":
            for pid in pids:
                os.kill(pid, 19)
        if state == "child holds sockets":
            pids += [int(ask(application, "sleeper").body) for application in applications]
        if state == "loading":
            import tempfile
            place = Path(tempfile.mkdtemp())
            (place / "wsgi").mkdir()
            text = f"import os, time; open({{str(place / 'pid')!r}}, 'w').write(str(os.getpid()))"
            (place / "wsgi/app.py").write_text(text + "; time.sleep(600)")
            threading.Thread(target=isolation.load, args=(source(place),), daemon=True).start()
            wait(lambda: (place / "pid").exists() and (place / "pid").read_text())
            pids.append(int((place / "pid").read_text()))
            import shutil
            shutil.rmtree(place)
        print(*pids, flush=True)
        time.sleep(600)
        """
    )
    assert len(pids) >= 3 and all(map(runs, pids))
    router.kill()
    router.wait()
    wait(lambda: not any(map(runs, pids)), "the end of the workers", seconds=10)


def test_workers_end_when_their_router_ends_without_a_word() -> None:
    router, pids = start_router("print(*pids, flush=True)\nos._exit(0)")
    assert len(pids) == 3
    assert router.wait(20) == 0
    wait(lambda: not any(map(runs, pids)), "the end of the workers", seconds=10)


def test_a_forked_child_has_workers_of_its_own() -> None:
    """And leaves the parent's alone, whether it uses its copy, shuts it down or is killed."""
    router, pids = start_router(
        """
        os.register_at_fork(after_in_child=isolation.after_fork)
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    if number != 2:
                        own = [ask(each, "about").json["pid"] for each in applications]
                        assert not set(own) & set(pids)
                    if number == 0:
                        isolation.shutdown()
                        assert not any(map(runs, own))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        assert statuses == [0, 0, 0], statuses
        assert [ask(application, "about").json["pid"] for application in applications] == pids
        isolation.shutdown()
        assert not any(map(runs, pids))
        print(*pids, flush=True)
        """
    )
    assert len(pids) == 3
    assert router.wait(60) == 0


# Nothing left to be had.


def test_no_more_descriptors(
    make_isolation: MakeIsolation, caplog: pytest.LogCaptureFixture
) -> None:
    isolation = make_isolation()
    application = isolation.load(source()).application
    asked = Call(application, make_environ("hangs_later"))  # its connection is taken
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
    try:
        call = Call(application, make_environ("empty"))
        with pytest.raises(WorkerFailed, match="LimitNOFILE"):
            isolation.load(source(host="b.test"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(held[0])
    assert call.finish().status == "503 Service Unavailable"
    assert "VAN038: no connection to its worker" in caplog.text
    asked.close()
    assert ask(application, "empty").status == "204 No Content"


def test_no_more_processes(make_isolation: MakeIsolation, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root no limit of processes holds: the error is made where Popen would raise it."""

    def no_process(*arguments: object, **keywords: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    isolation = make_isolation()
    application = isolation.load(source()).application
    pid = pid_of(application)
    monkeypatch.setattr(subprocess, "Popen", no_process)
    with pytest.raises(WorkerFailed, match="limit of processes"):
        isolation.load(source(host="b.test"))
    os.kill(pid, signal.SIGKILL)
    answer = ask(application, "empty")
    assert answer.status == "503 Service Unavailable" and "Retry-After" in answer.headers


def test_an_environment_that_is_deleted_while_it_runs(
    make_isolation: MakeIsolation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    python = make_script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    application = make_isolation().load(source(python=python)).application
    pid = pid_of(application)
    Path(python).rename(tmp_path / "away")
    assert pid_of(application) == pid
    os.kill(pid, signal.SIGKILL)
    assert ask(application, "about").status == "503 Service Unavailable"
    assert "No such file" in caplog.text and "VAN034" in caplog.text
    (tmp_path / "away").rename(python)
    wait(lambda: ask(application, "about").status == "200 OK", "the end of the pause")


def test_settings_are_checked() -> None:
    for name in ("process_threads", "processes_per_vhost", "load_timeout", "shutdown_timeout"):
        with pytest.raises(ValueError, match=f"{name} must be more than 0"):
            ProcessSettings(**{name: 0})
    for name in ("idle_timeout", "max_requests", "request_timeout", "memory_limit"):
        with pytest.raises(ValueError, match=f"{name} must be 0 or more"):
            ProcessSettings(**{name: -1})
        with pytest.raises(ValueError, match=f"{name} must be a"):
            ProcessSettings(**{name: "5"})
    for value in ("PATH", ["PATH"], ("",), ("=x",), (5,)):
        with pytest.raises(ValueError, match="process_environ"):
            ProcessSettings(process_environ=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole number"):
        ProcessSettings(process_threads=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="request_timeout"):
        ProcessSettings(request_timeout=float("nan"))
