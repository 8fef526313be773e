"""Limits that workers reach, and what keeps workers of one user from each other: real processes."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.errors import ImportFailed
from mod_wsgi_van.isolation.process import ProcessIsolation, bounds, worker
from mod_wsgi_van.isolation.process.spawner import Groups, Limits, enter, leave
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.wsgi import Application
from tests.isolation.process.calling import pid_of, source, vhost
from tests.support.children import in_child, without_privileges
from tests.support.client import Call, ask, make_environ
from tests.support.places import open_directory
from tests.support.waiting import wait

Load = Callable[..., Application]
NICE = os.getpriority(os.PRIO_PROCESS, 0)
ALL = {"memory_limit": 300 << 20, "task_limit": 64, "file_limit": 128, "cpu_weight": 50}


def limit_of(pid: int, kind: int) -> int:
    return resource.prlimit(pid, kind)[1]


def test_what_a_worker_may_have(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    application = load(**ALL, process_threads=2)
    pid = pid_of(application)
    assert limit_of(pid, resource.RLIMIT_DATA) == (600 + 40) << 20
    assert limit_of(pid, resource.RLIMIT_NOFILE) == 128
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, NICE + 3)
    ways = "memory_limit by RLIMIT_DATA, file_limit by RLIMIT_NOFILE, cpu_weight by nice"
    assert f"a.test: limits of its workers: {ways}" in caplog.text
    assert "a.test: VAN049: nothing keeps task_limit here" in caplog.text


def test_without_limits_nothing_is_changed_or_said(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pid = pid_of(load())
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        assert resource.prlimit(pid, kind) == resource.getrlimit(kind)
    assert "limits of its workers" not in caplog.text


@pytest.mark.parametrize(
    ("path", "query", "settings", "said"),
    [
        ("allocates", str(1 << 30), {"memory_limit": "100M"}, "memory_limit = 100M"),
        ("opens", "200", {"file_limit": 64}, "file_limit = 64"),
    ],
)
def test_a_worker_that_reaches_a_limit_is_replaced(
    load: Load,
    caplog: pytest.LogCaptureFixture,
    path: str,
    query: str,
    settings: dict[str, Any],
    said: str,
) -> None:
    application = load(**settings, process_threads=2)
    pid = pid_of(application)
    with pytest.raises(Exception, match=r"MemoryError|Errno 24"):
        ask(application, path, QUERY_STRING=query)
    wait(lambda: pid_of(application) != pid, "a fresh worker")
    text = f"a.test: VAN047: its worker {pid} is replaced: it has reached {said}; raise that"
    assert caplog.text.count(text) == caplog.text.count("VAN047") == 1
    assert "VAN030" not in caplog.text


def test_a_worker_without_a_descriptor_for_a_request(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    application = load(file_limit=64, process_threads=2)
    pid = pid_of(application)
    held = Call(application, make_environ("holds"))
    assert next(held.blocks) == b"held"
    assert pid_of(application) != pid
    held.close()
    text = f"VAN030: its worker {pid} is gone: it exited with status 0: it has reached file_limit"
    wait(lambda: f"{text} = 64; raise that" in caplog.text)


def test_a_limit_that_is_reached_by_the_import(tmp_path: Path) -> None:
    site = vhost(tmp_path / "a.test", "held = [open('/dev/null') for _ in range(100)]")
    isolation = ProcessIsolation(Settings(file_limit=64))
    try:
        with pytest.raises(
            ImportFailed, match=r"Errno 24.*: it has reached file_limit = 64; raise"
        ):
            isolation.load(source(site))
    finally:
        isolation.shutdown(5)


SAYINGS = [
    ("MemoryError", "memory_limit = 300M"),
    ("MemoryError: no room", "memory_limit = 300M"),
    ("OSError: [Errno 12] Cannot allocate memory", "memory_limit = 300M"),
    ("RuntimeError: can't start new thread", "task_limit = 64 or memory_limit = 300M"),
    ("    pid = os.fork()\nBlockingIOError: [Errno 11] Resource", "task_limit = 64"),
    ("    _fork_exec(\n    ~~~~^^\nBlockingIOError: [Errno 11] Resource", "task_limit = 64"),
    ("    socket.recv(1)\nBlockingIOError: [Errno 11] Resource", ""),
    ("OSError: [Errno 24] Too many open files: '/x'", "file_limit = 128"),
    ("ValueError: MemoryError", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "said"), SAYINGS)
def test_what_a_traceback_tells(text: str, said: str) -> None:
    settings, text = Settings(**ALL), f"Traceback\n{text}\n"
    found = bounds.reached(settings, bounds.told(settings, text))
    assert found.partition("; ")[0] == (f"it has reached {said}" if said else "")
    assert bounds.told(Settings(), text) == ()


def test_a_control_group_in_place_of_limits_of_the_process(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a tree that looks like one."""
    caplog.set_level(logging.INFO)
    groups = Groups(str(tmp_path), frozenset({"memory", "pids", "cpu"}))
    monkeypatch.setattr(Groups, "find", lambda: groups)
    application = load(**ALL, process_threads=2)
    pid = pid_of(application)
    (group,) = tmp_path.iterdir()
    files = {each.name: each.read_text() for each in group.iterdir()}
    limits = {"memory.max": str((600 + 40) << 20), "pids.max": "64", "cpu.weight": "50"}
    assert files == {**limits, "memory.oom.group": "1", "cgroup.procs": str(pid)}
    assert limit_of(pid, resource.RLIMIT_DATA) == resource.getrlimit(resource.RLIMIT_DATA)[1]
    assert os.getpriority(os.PRIO_PROCESS, pid) == NICE
    assert "memory_limit by memory.max, task_limit by pids.max, file_limit by RLIM" in caplog.text
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    (group / "pids.events").write_text("max 0\n")
    os.kill(pid, 9)
    text = "signal SIGKILL ended it: it has reached memory_limit = 300M; raise that"
    wait(lambda: f"VAN030: its worker {pid} is gone: {text}" in caplog.text)


def mounted() -> str:
    """Where control groups of version 2 can be made, or ""."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = [line.split()[1] for line in lines if line.split()[2] == "cgroup2"]
    return next((place for place in places if os.access(place, os.W_OK)), "")


@pytest.mark.parametrize("real", [False, True])
def test_control_groups_below_what_was_delegated(tmp_path: Path, real: bool) -> None:
    """Where this machine lets nobody make control groups, both times a tree that looks like one."""
    place = mounted() if real else ""
    root = Path(place or tmp_path)
    unit = root / f"van-{os.getpid()}.test"
    own = tmp_path / "cgroup"
    own.write_text(f"9:name=systemd:/\n0::/{unit.name}/spawner\n")
    unit.mkdir()
    child = subprocess.Popen(["sleep", "600"])
    try:
        if not place:
            (unit / "cgroup.subtree_control").write_text("")
        assert Groups.find(str(root), str(own)) == Groups()  # nobody has said so
        os.setxattr(unit, "user.delegate", b"1")
        groups = Groups.find(str(root), str(own))
        assert groups.where == str(unit)
        own.write_text(f"0::/{unit.name}\n")
        assert Groups.find(str(root), str(own)) == Groups()  # it has processes itself
        assert Groups(str(unit)).make(Limits(memory=1 << 30, files=5)) == ""
        group = unit / "worker"
        group.mkdir()
        enter(str(group), child.pid)
        assert (group / "cgroup.procs").read_text().split() == [str(child.pid)]
        assert leave(str(group)) == [] and group.exists()
        child.kill()
        child.wait()
        if not place:
            (group / "cgroup.procs").unlink()
            (unit / "cgroup.subtree_control").unlink()
        assert leave(str(group)) == [] and not group.exists()
    finally:
        child.kill()
        child.wait()
        unit.rmdir()


@pytest.mark.parametrize(("given", "expected"), [({}, 1), ({"setuid_programs": "allowed"}, 0)])
def test_programs_that_gain_privileges(load: Load, given: dict[str, Any], expected: int) -> None:
    status = Path(f"/proc/{pid_of(load(**given))}/status").read_text()
    assert f"NoNewPrivs:\t{expected}\n" in status


PEEKS = """
import ctypes, json, os, subprocess
CHILD = subprocess.Popen(["sleep", "600"])
def attempt(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"
def attach(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0):  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, 0x40000000)  # __WALL
    libc.ptrace(17, pid, 0, 0)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    pid = int(environ["QUERY_STRING"] or 0)
    found = {
        "memory": attempt(lambda: open(f"/proc/{pid}/mem", "rb")),
        "environ": attempt(lambda: open(f"/proc/{pid}/environ").read()),
        "files": attempt(lambda: os.listdir(f"/proc/{pid}/fd")),
        "trace": attempt(lambda: attach(pid)),
    } if pid else {}
    own = attempt(lambda: os.listdir("/proc/self/fd"))
    return [json.dumps(dict(found, pid=os.getpid(), child=CHILD.pid, own=own)).encode()]
"""


def test_workers_of_one_user_cannot_read_or_trace_each_other() -> None:
    def peek(base: Path) -> None:
        without_privileges()
        isolation = ProcessIsolation(Settings())
        sites = [vhost(base / name, PEEKS) for name in ("a.test", "b.test")]
        one, other = (
            isolation.load(source(site, "/usr/bin/python3", site.name)).application
            for site in sites
        )
        theirs = ask(other, "").json
        found = ask(one, "", QUERY_STRING=str(theirs["pid"])).json
        refused = ("Permission denied", "Operation not permitted")
        assert all(found[what] in refused for what in ("memory", "environ", "files", "trace")), (
            found
        )
        assert found["own"] == "done"
        # It is not for another reason: here is a program of the same user that was executed.
        found = ask(one, "", QUERY_STRING=str(theirs["child"])).json
        assert (found["memory"], found["environ"], found["files"]) == ("done",) * 3
        isolation.shutdown(5)

    with open_directory() as base:
        base.chmod(0o777)
        in_child(lambda: peek(base), 60)


def test_a_python_without_ctypes(capfd: pytest.CaptureFixture[str]) -> None:
    def without() -> None:
        sys.modules["_ctypes"] = None  # type: ignore[assignment]
        worker.shut_in(privileges=False)
        sys.stderr.flush()

    in_child(without)
    assert "VAN048: its worker is not shut in: " in capfd.readouterr().err
