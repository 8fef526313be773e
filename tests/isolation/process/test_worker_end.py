"""How workers end, with their router or before it, and what is left when nothing is to be had."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.errors import LoadTimeout, WorkerFailed
from mod_wsgi_van.isolation.process import ProcessIsolation, spawn
from mod_wsgi_van.settings import Settings
from tests.isolation.process.calling import PYTHONS, SITE, pid_of, source, vhost
from tests.support.children import in_child, runs, without_privileges
from tests.support.client import Call, ask, make_environ
from tests.support.log import listening
from tests.support.places import PROJECT
from tests.support.waiting import wait

MakeIsolation = Callable[..., ProcessIsolation]
StartRouter = Callable[[str], tuple[subprocess.Popen[str], list[int]]]


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
    assert call.finish().content == b"last"
    wait((tmp_path / "exit").exists)
    assert ask(loaded.application, "").status == 503


def test_a_job_outlives_a_deploy_in_a_session_of_its_own(make_isolation: MakeIsolation) -> None:
    instance = make_isolation().load(source())
    child = int(ask(instance.application, "sleeper").body)
    job = int(ask(instance.application, "sleeper", QUERY_STRING="own session").body)
    worker = pid_of(instance.application)
    try:
        instance.retire()
        wait(lambda: not runs(worker) and not runs(child))
        assert runs(job)
    finally:
        os.kill(job, signal.SIGKILL)


def test_an_exit_handler_that_hangs(make_isolation: MakeIsolation, tmp_path: Path) -> None:
    text = "import atexit, os, time\natexit.register(time.sleep, 600)\n"
    text += "def app(environ, start_response):\n    start_response('200 OK', [])\n"
    vhost(tmp_path, text + "    return [b'%d' % os.getpid()]\n")
    isolation = make_isolation(shutdown_timeout=0.2)
    loaded = isolation.load(source(tmp_path))
    call = Call(loaded.application, make_environ(""))
    pid = int(call.finish().content)
    loaded.retire()
    wait(lambda: not runs(pid))


def test_a_worker_of_another_user(
    make_isolation: MakeIsolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel kills it where the router may not."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("os.killpg", refuse)
    text = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    vhost(tmp_path, text + "time.sleep(600)")
    with pytest.raises(LoadTimeout, match="is ended"):
        make_isolation(load_timeout=1).load(source(tmp_path))
    pid = int((tmp_path / "pid").read_text())
    wait(lambda: not runs(pid))


def test_a_shutdown_ends_all_workers(make_isolation: MakeIsolation) -> None:
    isolation = make_isolation()
    applications = [isolation.load(source(host=f"{n}.test")).application for n in range(5)]
    pids = [pid_of(application) for application in applications]
    isolation.shutdown(5)
    isolation.shutdown(5)
    assert not any(runs(pid) for pid in pids)
    assert ask(applications[0], "about").status == 503


ROUTER = """
import os, sys, threading, time
from pathlib import Path
sys.path[:0] = [{project!r}]
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.settings import Settings
from tests.isolation.process.calling import source
from tests.support.children import forked, runs
from tests.support.client import ask
from tests.support.waiting import wait
isolation = ProcessIsolation(Settings())
applications = [isolation.load(source(host=f"{{n}}.test")).application for n in range(3)]
pids = [ask(application, "about").json["pid"] for application in applications]
"""


@pytest.fixture
def start_router() -> Iterator[StartRouter]:
    """Start a router in a process of its own and read the pids that it prints.

    At the end it is killed, with what it has forked; its workers end with it.
    """
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> tuple[subprocess.Popen[str], list[int]]:
        program = ROUTER.format(project=str(PROJECT)) + textwrap.dedent(text)
        command = [sys.executable, "-W", "error", "-c", program]
        router = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(router)
        assert router.stdout is not None
        with router.stdout:
            return router, [int(word) for word in router.stdout.readline().split()]

    yield start
    for router in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(router.pid, signal.SIGKILL)
        router.wait()


@pytest.mark.parametrize(
    "state", ["idle", "holds_the_gil", "hangs", "stopped", "loading", "child holds sockets"]
)
def test_workers_end_when_their_router_is_killed(start_router: StartRouter, state: str) -> None:
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
    wait(lambda: not any(map(runs, pids)), "the end of the workers")


def test_workers_end_when_their_router_ends_without_a_word(start_router: StartRouter) -> None:
    router, pids = start_router("print(*pids, flush=True)\nos._exit(0)")
    assert len(pids) == 3
    assert router.wait(60) == 0
    wait(lambda: not any(map(runs, pids)), "the end of the workers")


def test_a_forked_child_has_workers_of_its_own(start_router: StartRouter) -> None:
    """And leaves the parent's alone, whether it uses its copy, shuts it down or is killed."""
    router, pids = start_router(
        """
        os.register_at_fork(after_in_child=isolation.after_fork)
        def serve(number):
            if number != 2:
                own = [ask(each, "about").json["pid"] for each in applications]
                assert not set(own) & set(pids)
            if number == 0:
                isolation.shutdown(5)
                assert not any(map(runs, own))
        children = [forked(lambda: serve(number)) for number in range(3)]
        statuses = [os.waitpid(child, 0)[1] for child in children]
        assert statuses == [0, 0, 0], statuses
        assert [ask(application, "about").json["pid"] for application in applications] == pids
        isolation.shutdown(5)
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
    assert call.finish().status == 503
    assert "VAN038: no connection to its worker" in caplog.text
    asked.close()
    assert ask(application, "empty").status == 204


@pytest.fixture
def open_to_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """The site of these tests and a Python, for a user who may not read the project."""
    with tempfile.TemporaryDirectory(prefix="van-") as name:
        script = shutil.copy(spawn.SCRIPT, name)
        site = Path(shutil.copytree(SITE, Path(name, "site")))
        for path in (Path(name), *Path(name).rglob("*")):
            path.chmod(0o755)
        monkeypatch.setattr(spawn, "SCRIPT", script)
        yield site, sys.executable if os.geteuid() else "/usr/bin/python3"


def test_no_more_processes(open_to_all: tuple[Path, str]) -> None:
    site, python = open_to_all

    def test() -> None:
        without_privileges()
        lines = listening().lines
        isolation = ProcessIsolation(Settings())
        application = isolation.load(source(site, python)).application
        pid = pid_of(application)
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        with pytest.raises(WorkerFailed, match="limit of processes"):
            isolation.load(source(site, python, host="b.test"))
        assert pid_of(application) == pid
        os.kill(pid, signal.SIGKILL)
        answer = ask(application, "empty")
        assert answer.status == 503 and "Retry-After" in answer.headers
        assert any("TasksMax" in line for line in lines), lines
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        wait(lambda: ask(application, "about").status == 200, "the end of the pause")
        isolation.shutdown(5)

    in_child(test)


def test_no_thread_to_start_the_workers(open_to_all: tuple[Path, str]) -> None:
    site, python = open_to_all

    def test() -> None:
        without_privileges()
        isolation = ProcessIsolation(Settings(processes_per_vhost=3))
        pid_of(isolation.load(source(site, python)).application)
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        with pytest.raises(WorkerFailed, match="limit of processes"):
            isolation.load(source(site, python, host="b.test"))
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        isolation.shutdown(5)

    in_child(test)
