"""The spawner as a real service, with real users: whom it starts what as, and what it refuses."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.errors import LoadError, SpawnRefused
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.process import ProcessIsolation, spawner
from mod_wsgi_van.isolation.process.spawner import MESSAGE, PENDING, Groups, Policy
from mod_wsgi_van.settings import Settings
from tests.support import fuse
from tests.support.children import forked, in_child, runs
from tests.support.client import ask
from tests.support.places import open_directory
from tests.support.waiting import wait

# Users that every Linux has: the owners of two sites, the daemon, and somebody else.
ALICE, BOB, DAEMON, EVE = (pwd.getpwnam(name) for name in ("games", "mail", "www-data", "nobody"))
PYTHON = "/usr/bin/python3"
SCRIPT = spawner.__file__
APP = """
import json, os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    status = open("/proc/self/status").read()
    files = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    about = dict(
        uids=os.getresuid(), gids=os.getresgid(), groups=os.getgroups(), environ=dict(os.environ),
        pid=os.getpid(), umask=os.umask(0o22), cwd=os.getcwd(), file=__file__,
        privileges="NoNewPrivs:\\t1" in status, capabilities="CapPrm:\\t0000000000000000" in status,
        files=[os.readlink(each).split(":")[0] for each in files if os.path.exists(each)],
    )
    return [json.dumps(about).encode()]
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(PYTHON), reason="only root can become other users"
)


@dataclass
class Place:
    """A base path with two sites, and the configuration of a spawner."""

    root: Path

    @property
    def base(self) -> Path:
        return self.root / "sites"

    @property
    def config(self) -> Path:
        return self.root / "van.toml"

    @property
    def path(self) -> str:
        return str(self.root / "run/spawner")

    def settings(self, **more: Any) -> Settings:
        given = {"base_path": str(self.base), "spawner_socket": self.path, "site_user": "owner"}
        return Settings(**{**given, "shutdown_timeout": 0.5, **more})

    def make(self, name: str, user: pwd.struct_passwd, app: str = APP) -> Path:
        site = self.base / name
        (site / "wsgi").mkdir(parents=True)
        (site / "wsgi/app.py").write_text(app)
        (site / ".venv/bin").mkdir(parents=True)
        (site / ".venv/bin/python").symlink_to(PYTHON)
        (site / ".venv/pyvenv.cfg").write_text("home = /usr/bin\n")
        for path in (site, *site.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        return site

    def request(self, name: str = "alice.test") -> dict[str, Any]:
        """What a router that finds the site as it is now asks for."""
        site = self.base / name
        python = os.path.join(os.path.realpath(site / ".venv/bin"), "python")
        return {"site": name, "wsgi": os.path.realpath(site / "wsgi"), "python": python}

    def source(self, name: str = "alice.test", **more: Any) -> Source:
        wanted = self.request(name)
        given = {"venv": "", "site_packages": (), "module_name": "app", "object_name": "app"}
        site = str(self.base / name)
        ends = {"host": name, "directory": wanted["wsgi"], "python": wanted["python"], "site": site}
        return Source(**{**given, **ends, **more})


@pytest.fixture
def place() -> Iterator[Place]:
    # Not below /tmp: whom everybody can put something there is just what is refused.
    with open_directory("/srv") as root:
        place = Place(root)
        text = f'base_path = "{place.base}"\nspawner_socket = "{place.path}"\nleast_uid = 2\n'
        place.config.write_text(text)
        place.make("alice.test", ALICE)
        place.make("bob.test", BOB)
        yield place


@pytest.fixture
def service(place: Place) -> Iterator[subprocess.Popen[str]]:
    with serving(place.config) as process:
        wait(lambda: os.path.exists(place.path) and can_ask(place.path), "the spawner")
        yield process
        process.kill()


def serving(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-S", SCRIPT, str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def can_ask(path: str) -> bool:
    try:
        connect(path).close()
    except OSError:
        return False
    return True


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(20)
        end = time.monotonic() + 20
        while True:
            try:
                connection.connect(path)
                break
            except BlockingIOError:  # as many wait already as it lets wait
                assert time.monotonic() < end
                time.sleep(0.01)
    except OSError:
        connection.close()
        raise
    return connection


def answer(path: str, message: bytes | dict[str, Any]) -> dict[str, Any]:
    """What the spawner says; a worker that it starts ends at once."""
    with connect(path) as connection:
        connection.send(json.dumps(message).encode() if isinstance(message, dict) else message)
        data, fds, _, _ = socket.recv_fds(connection, MESSAGE, 4)
        for fd in fds:
            os.close(fd)
    said: dict[str, Any] = json.loads(data)
    return said


@pytest.fixture
def load(place: Place, service: object) -> Iterator[Callable[..., Any]]:
    made: list[ProcessIsolation] = []

    def load(source: Source | None = None, **settings: Any) -> Any:
        made.append(ProcessIsolation(place.settings(**settings)))
        return made[-1].load(source or place.source()).application

    yield load
    for isolation in made:
        isolation.shutdown(5)


# What is started.


def test_a_worker_is_its_owners_and_nobody_elses(load: Callable[..., Any], place: Place) -> None:
    about = ask(load(place.source(env={"KEY": "value"}))).json
    assert about["uids"] == [ALICE.pw_uid] * 3 and about["gids"] == [ALICE.pw_gid] * 3
    groups = os.getgrouplist(ALICE.pw_name, ALICE.pw_gid)
    assert sorted(about["groups"]) == sorted(groups)
    assert about["privileges"] and about["capabilities"]
    kept = {"PATH", "LANG", "HOME", "USER", "LOGNAME", "KEY"}
    assert set(about["environ"]) - {"LC_CTYPE"} == kept and about["cwd"] == "/"
    assert about["umask"] == 0o022
    # /dev/null, stdout and stderr, the lifeline; control and the request's socket. libffi 3.5
    # keeps its own file open, from which it maps its closures.
    kinds = [name for name in about["files"] if not re.match(r"/proc|.*/libffi\.so", name)]
    assert sorted(kinds) == ["/dev/null", "pipe", "pipe", "pipe", "socket", "socket"]
    assert ask(load(place.source("bob.test"))).json["uids"] == [BOB.pw_uid] * 3


def test_a_site_without_an_environment(load: Callable[..., Any], place: Place) -> None:
    bare = place.source(python=spawner.BARE)
    if os.access(spawner.BARE, os.X_OK) and in_reach(spawner.BARE):
        assert ask(load(bare)).json["uids"] == [ALICE.pw_uid] * 3
    else:  # the tests' own Python may be in root's home
        with pytest.raises(LoadError):
            load(bare)


def in_reach(path: str) -> bool:
    return all(each.stat().st_mode & 0o001 for each in Path(path).parents)


LIMITS = {"memory_limit": "300M", "task_limit": 60, "file_limit": 99, "cpu_weight": 80}


def test_limits_are_there_before_any_code_of_the_site(
    load: Callable[..., Any], place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """That it reaches one is told as of a worker of the daemon's user."""
    (place.base / "alice.test/wsgi/app.py").write_text(
        "import json, os, resource, threading, time\n"
        "def app(environ, start_response):\n"
        "    for _ in range(100 if environ['QUERY_STRING'] else 0):\n"
        "        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "    start_response('200 OK', [('Content-Type', 'application/json')])\n"
        "    kinds = (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)\n"
        "    found = [resource.getrlimit(kind)[1] for kind in kinds]\n"
        "    return [json.dumps([*found, os.getpriority(0, 0)]).encode()]\n"
    )
    caplog.set_level("INFO")
    application = load(**LIMITS)
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 1)
    assert ask(application).json == [(600 + 100) << 20, 60, 99, nice]
    assert "task_limit by RLIMIT_NPROC" in caplog.text and "VAN049" not in caplog.text
    with pytest.raises(Exception, match="can't start new thread"):
        ask(application, QUERY_STRING="all")
    assert "it has reached task_limit = 60 or memory_limit = 300M; raise" in caplog.text


def test_a_control_group_for_each_worker(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """In a tree that looks like one."""
    tree = place.root / "groups"
    tree.mkdir(0o700)
    groups = Groups(str(tree), frozenset({"memory", "pids", "cpu"}))

    def serve() -> None:
        policy = spawner.read_policy(str(place.config))
        listener = spawner.listen(place.path, DAEMON.pw_gid)
        spawner.Service(policy, listener, (0,), groups).run()

    service = forked(serve)
    isolation = ProcessIsolation(place.settings(**LIMITS))
    try:
        wait(lambda: os.path.exists(place.path) and can_ask(place.path), "the spawner")
        pid = ask(isolation.load(place.source()).application).json["pid"]
        (group,) = tree.iterdir()
        names = ("memory.max", "pids.max", "cpu.weight", "memory.oom.group", "cgroup.procs")
        found = [(group / name).read_text() for name in names]
        assert found == [str((600 + 100) << 20), "60", "80", "1", "0"]
        (group / "memory.events").write_text("oom_kill 1\n")
        os.kill(pid, signal.SIGKILL)
        text = "signal SIGKILL ended it: it has reached memory_limit = 300M; raise that"
        wait(lambda: text in caplog.text, "the line", tell=lambda: caplog.text)
    finally:
        isolation.shutdown(5)
        os.kill(service, signal.SIGKILL)
        os.waitpid(service, 0)


def test_how_it_ended_is_told(
    load: Callable[..., Any], place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    (place.base / "alice.test/wsgi/app.py").write_text(
        "import os\ndef app(environ, start_response): os._exit(7)\n"
    )
    assert ask(load(), method="POST").status == 502
    wait(lambda: "it exited with status 7" in caplog.text, "the line", tell=lambda: caplog.text)


def test_a_worker_that_will_not_end_is_killed(place: Place, service: object) -> None:
    """It has let go of its lifeline, and does not heed SIGTERM."""
    app = place.base / "alice.test/wsgi/app.py"
    app.write_text(
        "import fcntl, os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "fcntl.fcntl(4, fcntl.F_SETFL, 0)\n" + APP + "\n"
        "import atexit, time\n"
        "atexit.register(time.sleep, 100)\n"
    )
    isolation = ProcessIsolation(place.settings())
    pid = ask(isolation.load(place.source()).application).json["pid"]
    isolation.shutdown(3)
    wait(lambda: not runs(pid), "the end of the worker")


def test_the_death_of_the_daemon_ends_its_workers(place: Place, service: object) -> None:
    reading, writing = os.pipe()

    def daemon() -> None:
        isolation = ProcessIsolation(place.settings())
        pid = ask(isolation.load(place.source()).application).json["pid"]
        os.write(writing, b"%d" % pid)
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            daemon()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        pid = int(pipe.read())
    wait(lambda: not runs(pid), "the end of the worker")


def test_the_death_of_the_spawner_ends_no_worker(
    place: Place, service: subprocess.Popen[str]
) -> None:
    isolation = ProcessIsolation(place.settings())
    application = isolation.load(place.source()).application
    service.kill()
    service.wait()
    pid = ask(application).json["pid"]
    isolation.shutdown(5)
    wait(lambda: not runs(pid), "the end of the worker")


def test_without_a_spawner_nothing_runs(place: Place) -> None:
    isolation = ProcessIsolation(place.settings())
    with pytest.raises(
        SpawnRefused, match=r"VAN050: alice\.test: no spawner answers at .*; systemctl"
    ):
        isolation.load(place.source())
    isolation.shutdown(5)


def test_an_earlier_release_gets_workers_while_its_site_leads_elsewhere(
    place: Place, service: object
) -> None:
    site = place.base / "alice.test"
    new = place.make(".releases/2", ALICE)
    earlier = place.request()
    assert "pid" in answer(place.path, earlier)
    os.rename(site, place.base / ".releases/1")
    earlier["wsgi"] = str(place.base / ".releases/1/wsgi")
    earlier["python"] = str(place.base / ".releases/1/.venv/bin/python")
    site.symlink_to(".releases/1")
    assert "pid" in answer(place.path, earlier)
    site.unlink()
    site.symlink_to(".releases/2")
    assert "pid" in answer(place.path, earlier)
    never = {**earlier, "wsgi": str(new / "wsgi")}
    assert "changed meanwhile" in answer(place.path, never)["refused"]


# What is refused.


def owned(path: str, user: pwd.struct_passwd) -> Callable[[Path], None]:
    return lambda base: os.chown(base / path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def mode(path: str, bits: int) -> Callable[[Path], None]:
    return lambda base: (base / path).chmod(bits)


def link(path: str, target: str) -> Callable[[Path], None]:
    def replace(base: Path) -> None:
        place = base / path
        os.rename(place, base.parent / "moved")
        place.symlink_to(target)
        os.lchown(place, ALICE.pw_uid, ALICE.pw_gid)

    return replace


def by_number(uid: int) -> Callable[[Path], None]:
    def change(base: Path) -> None:
        for path in (base / "alice.test", base / "alice.test/wsgi"):
            os.chown(path, uid, uid)

    return change


ROOT = pwd.getpwuid(0)
SITE = "alice.test"
REFUSED = {
    "root's site": (owned(SITE, ROOT), "belongs to user 0; the least is"),
    "a user below the least": (by_number(1), "belongs to user 1; the least is 2"),
    "the daemon's own": (owned(SITE, DAEMON), "belongs to www-data, the user of the daemon"),
    "a user whom nobody knows": (by_number(54321), "not in the password file"),
    "wsgi of another": (owned(f"{SITE}/wsgi", BOB), "not owned by games"),
    "wsgi of root": (owned(f"{SITE}/wsgi", ROOT), "not owned by games"),
    "a site of another": (owned(SITE, BOB), "not owned by mail"),
    "the base path of another": (owned(".", EVE), f"belongs to user {EVE.pw_uid}"),
    "the interpreter's directory of another": (
        owned(f"{SITE}/.venv/bin", BOB),
        f"belongs to user {BOB.pw_uid}",
    ),
    "an environment of another": (owned(f"{SITE}/.venv", BOB), f"belongs to user {BOB.pw_uid}"),
    "a link to the interpreter of another": (
        owned(f"{SITE}/.venv/bin/python", BOB),
        f"belongs to user {BOB.pw_uid}",
    ),
    "a base path that all may write": (mode(".", 0o777), "can be written by others"),
    "a sticky base path": (mode(".", 0o1777), "can be written by others"),
    "a parent that its group may write": (mode("..", 0o775), "can be written by others"),
    "a site that its group may write": (mode(SITE, 0o775), "can be written by others"),
    "wsgi that all may write": (mode(f"{SITE}/wsgi", 0o757), "can be written by others"),
    "an environment that all may write": (mode(f"{SITE}/.venv", 0o777), "written by others"),
    "a site that leads out": (link(SITE, "../moved"), "leads out of"),
    "wsgi that leads out": (link(f"{SITE}/wsgi", "../../moved"), "leads out of"),
    "wsgi that leads to the neighbour": (link(f"{SITE}/wsgi", "../bob.test/wsgi"), "not owned by"),
    "wsgi that leads to /etc": (link(f"{SITE}/wsgi", "/etc"), "leads out of"),
    "an environment of the neighbour": (
        link(f"{SITE}/.venv", "../bob.test/.venv"),
        f"belongs to user {BOB.pw_uid}",
    ),
    "an interpreter below /tmp": (
        link(f"{SITE}/.venv/bin/python", "/tmp/python"),
        "/tmp can be written by others",
    ),
    "a link to itself": (link(f"{SITE}/wsgi", "wsgi"), "too many symlinks"),
    "wsgi that leads to a file": (link(f"{SITE}/wsgi", "/etc/passwd"), "leads out of"),
    "no site": (lambda base: os.rename(base / SITE, base.parent / "moved"), "No such file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_site_that_is_refused(place: Place, service: subprocess.Popen[str], what: str) -> None:
    change, why = REFUSED[what]
    wanted = place.request()
    change(place.base)
    said = answer(place.path, wanted)
    assert why in said.get("refused", ""), said
    # The others are served as before, unless all are below the same directory.
    if "parent" not in what and "base path" not in what:
        assert "pid" in answer(place.path, place.request("bob.test"))


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"[]",
        b"1",
        b'"' + b"\xff" * 10 + b'"',
        b"[" * 5000,
        b"{}",
        b'{"site": 1, "wsgi": "a", "python": "b"}',
        b'{"site": "a", "wsgi": "a", "python": "b", "uid": 0}',
        b'{"site": "a\\u0000", "wsgi": "a", "python": "b"}',
        *(
            b'{"site": "alice.test", "wsgi": "a", "python": "b", "limits": %s}' % limits
            for limits in (b"1", b"[]", b'{"memory": -1}', b'{"memory": true}', b'{"tasks": "1"}')
        ),
        b'{"site": "a", "wsgi": "a", "python": "b", "limits": {"files": 1.5, "user": 0}}',
        b'{"site": "a", "wsgi": "a", "python": "b", "limits": {"files": %d}}' % 2**63,
        b"x" * (MESSAGE - 1),
        b"x" * MESSAGE * 4,
        *(
            json.dumps({"site": name, "wsgi": "/", "python": "/"}).encode()
            for name in (
                "..",
                "../etc",
                ".",
                ".releases/1",
                "a/../b",
                "/etc",
                "a b",
                "a/.b",
                "",
                "\n",
            )
        ),
    ],
)
def test_a_message_that_is_refused(place: Place, service: object, message: bytes) -> None:
    assert "refused" in answer(place.path, message)
    assert "pid" in answer(place.path, place.request())


@pytest.mark.parametrize("key", ["wsgi", "python"])
def test_nothing_is_started_but_what_the_site_leads_to(
    place: Place, service: object, key: str
) -> None:
    for path in ("/bin/sh", f"{place.base}/bob.test/wsgi", "", "wsgi"):
        said = answer(place.path, {**place.request(), key: path})
        assert "changed meanwhile" in said.get("refused", ""), said


def test_who_may_ask(place: Place, service: object) -> None:
    assert os.stat(place.path).st_mode & 0o777 == 0o660
    assert os.stat(place.path).st_gid == DAEMON.pw_gid and os.stat(place.path).st_uid == 0

    def become(user: pwd.struct_passwd, group: int) -> None:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)

    def outsider() -> None:
        become(EVE, EVE.pw_gid)
        with pytest.raises(PermissionError):
            connect(place.path)

    def member() -> None:
        become(EVE, DAEMON.pw_gid)
        with connect(place.path) as connection:
            assert b"may not ask" in connection.recv(MESSAGE)

    def daemon() -> None:
        become(DAEMON, DAEMON.pw_gid)
        assert "pid" in answer(place.path, place.request())

    for each in (outsider, member, daemon):
        in_child(each)


def test_a_flood_of_silent_clients_stops_nobody_else(place: Place, service: object) -> None:
    """They are as many as one user may have; it is another one's turn all the same."""
    full, over = threading.Event(), os.pipe()

    def silent() -> None:
        os.setgroups([])
        os.setresgid(DAEMON.pw_gid, DAEMON.pw_gid, DAEMON.pw_gid)
        os.setresuid(DAEMON.pw_uid, DAEMON.pw_uid, DAEMON.pw_uid)
        clients = [connect(place.path) for _ in range(PENDING + 10)]
        refused = [each for each in clients[PENDING:] if b"too many" in each.recv(MESSAGE)]
        assert len(refused) == 10
        os.write(over[1], b"f")
        for each in clients[:PENDING]:
            assert b"it took too long" in each.recv(MESSAGE)
            assert each.recv(MESSAGE) == b""
        assert "pid" in answer(place.path, place.request())

    def ask_meanwhile() -> None:
        os.read(over[0], 1)
        assert "pid" in answer(place.path, place.request())
        full.set()

    thread = threading.Thread(target=ask_meanwhile)
    thread.start()
    try:
        in_child(silent, seconds=30)
    finally:
        os.write(over[1], b"f")
        thread.join(20)
        for fd in over:
            os.close(fd)
    assert full.is_set()


def test_a_signal_reaches_the_worker_of_the_connection_alone(place: Place, service: object) -> None:
    """Any other message ends it."""
    for message, status in ((b"15", -15), (b"9", -9), (b"1", -9), (b"15 1", -9)):
        with connect(place.path) as connection:
            connection.send(json.dumps(place.request()).encode())
            data, fds, _, _ = socket.recv_fds(connection, MESSAGE, 4)
            assert "pid" in json.loads(data)
            connection.send(message)
            assert json.loads(connection.recv(MESSAGE))["status"] == status
            for fd in fds:
                os.close(fd)


def test_a_site_that_is_swapped_while_it_is_looked_at(place: Place, service: object) -> None:
    """Whatever the moment, nobody's code runs as another user."""
    flip = place.base / "flip.test"
    wanted = [place.request(name) for name in ("alice.test", "bob.test")]
    users = [ALICE, BOB]
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for name in ("alice.test", "bob.test"):
                new = place.base / "new"
                new.symlink_to(name)
                new.rename(flip)

    thread = threading.Thread(target=swap)
    thread.start()
    started = refused = 0
    try:
        wait(flip.exists, "the site")
        for number in range(200):
            with connect(place.path) as connection:
                request = {**wanted[number % 2], "site": "flip.test"}
                connection.send(json.dumps(request).encode())
                data, fds, _, _ = socket.recv_fds(connection, MESSAGE, 4)
                said = json.loads(data)
                if "pid" in said:
                    started += 1
                    status = Path(f"/proc/{said['pid']}/status").read_text()
                    uid = users[number % 2].pw_uid
                    assert f"\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
                else:
                    refused += 1
                for fd in fds:
                    os.close(fd)
    finally:
        stop.set()
        thread.join()
    assert refused + started == 200 and refused


@pytest.mark.skipif(not fuse.POSSIBLE, reason="bindfs is needed")
def test_a_file_system_of_a_program(place: Place, service: object) -> None:
    """It could say whose files are; and when it does not answer, nobody else waits."""
    with fuse.mirror(place.make(".releases/3", ALICE), place.base / "fuse.test") as mirror:
        wanted = place.request("fuse.test")
        assert "FUSE file system" in answer(place.path, wanted)["refused"]
        mirror.stop()
        with connect(place.path) as connection:
            connection.send(json.dumps(wanted).encode())
            assert "pid" in answer(place.path, place.request())
            assert b"it took too long" in connection.recv(MESSAGE)
        mirror.go_on()


@pytest.mark.parametrize("fault", ["owner", "mode", "parent", "missing", "type", "toml"])
def test_a_configuration_that_is_not_roots(place: Place, fault: str) -> None:
    if fault == "owner":
        os.chown(place.config, ALICE.pw_uid, 0)
    elif fault == "mode":
        place.config.chmod(0o664)
    elif fault == "parent":
        place.root.chmod(0o777)
    elif fault == "missing":
        place.config.unlink()
    else:
        place.config.write_text('least_uid = "0"' if fault == "type" else "least_uid")
    with serving(place.config) as process:
        assert process.stderr is not None
        assert process.stderr.read().startswith("mod-wsgi-van spawner: ")
        assert process.wait(20) == 1


def test_the_defaults_are_those_of_the_table() -> None:
    settings = Settings()
    assert all(getattr(settings, key) == value for key, value in vars(Policy()).items())
