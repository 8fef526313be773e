"""The spawner: starts workers as the owners of their sites. Runs as root, so it is one short file.

Run as a script (``mod-wsgi-van spawner``) with the standard library alone. It listens on one socket
that the daemon's group may open, and takes requests of the daemon's user. A connection is one
worker. Messages are whole ones (SOCK_SEQPACKET). To the spawner, first a request, then signals:

    {"site": ..., "wsgi": ..., "python": ..., "limits": {...}}
                    which site, what the router found there, and what a worker of it may have
    15 or 9         a signal for the worker's process group

and back, first one of the first two, and at the worker's end the last:

    {"pid": ..., "kept": ...}       with four descriptors: control, lifeline, output, pidfd
    {"refused": ...}
    {"status": ..., "hit": [...]}   what it has ended with, and the limits that it had reached

The one thread never touches the file system of a site: that may hang, or be another by the next
look. A child process is forked for each request. It opens what is asked for name by name, checks
what it has opened, becomes the owner and executes the interpreter that it holds open. When the
connection or the lifeline closes, the worker is killed. When the spawner ends, the workers go on.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import math
import os
import pwd
import re
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

CONFIG = "/etc/mod_wsgi_van/van.toml"
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")
# The interpreter for sites that have no environment; it then runs without its site-packages.
BARE = os.path.realpath(f"{sys.base_prefix}/bin") + "/python{}.{}".format(*sys.version_info)
COMMANDS = "/usr/local/bin:/usr/bin:/bin"

MESSAGE = 8192  # bytes
PENDING = 128  # connections of one user that have no worker yet
REQUEST_SECONDS = 5.0  # until a client has said what it wants
CHECK_SECONDS = 10.0  # until the interpreter runs
BUSY = "there are too many requests at once"
LINKS, DEPTH = 40, 64  # on the way of a path
SITES, RELEASES = 10_000, 4  # that are remembered, and of each site
SITE = re.compile(r"(?!.*(?:^|/)\.)[\w:.-]+(?:/[\w:.-]+)*", re.ASCII)  # no name begins with a dot
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
FUSE = 0x65735546  # statfs(2); what other users mount is of no other type


class Refused(Exception):
    """No worker is started; the text says why."""


@dataclass(frozen=True)
class Policy:
    """What the administrator has set; the defaults are those of the table of settings."""

    base_path: str = "/var/www"
    wsgi_dir: str = "wsgi"
    venv_name: str = ".venv"
    spawner_socket: str = "/run/mod_wsgi_van/spawner"
    daemon_user: str = "www-data"
    least_uid: int = 1000


def read_policy(path: str) -> Policy:
    """Raises Refused unless root alone can have written the file."""
    file = walk(path, hold=True)
    try:
        check_owners(0, file)
        given = tomllib.loads(Path(f"/proc/self/fd/{file.fd}").read_text())
    finally:
        os.close(file.fd)
    policy = Policy(**{key: given[key] for key in Policy.__dataclass_fields__ if key in given})
    for key, default in vars(Policy()).items():
        if type(getattr(policy, key)) is not type(default):
            raise Refused(f"{path}: {key} is of the wrong type")
    return policy


# What one worker may have.


@dataclass(frozen=True)
class Limits:
    """Hard limits of a worker; 0: any."""

    memory: int = 0  # bytes
    tasks: int = 0  # processes and threads
    files: int = 0  # descriptors
    weight: int = 0  # of its part of the processors; everybody has 100

    def kept(self, groups: Groups, *, owned: bool) -> dict[str, str]:
        """What keeps each limit that is set, "" where nothing can.

        RLIMIT_NPROC counts all processes of a user: of an owner they may, of the daemon's user not.
        """
        found = {}
        for name, (controller, file, alone) in MEANS.items():
            if getattr(self, name):
                found[name] = file if controller in groups.controllers else alone
        if not owned and found.get("tasks") == "RLIMIT_NPROC":
            found["tasks"] = ""
        return found


# Of each limit: the controller of control groups, its file, and what a process keeps by itself.
MEANS = {
    "memory": ("memory", "memory.max", "RLIMIT_DATA"),
    "tasks": ("pids", "pids.max", "RLIMIT_NPROC"),
    "files": ("", "", "RLIMIT_NOFILE"),
    "weight": ("cpu", "cpu.weight", "nice"),
}
EVENTS = {"memory": ("memory.events", "oom_kill"), "tasks": ("pids.events", "max")}


@dataclass(frozen=True)
class Groups:
    """Where this process may make control groups (version 2), with which controllers; or nowhere.

    That is what systemd has given to the unit (Delegate) while this process has a group of its own
    in there (DelegateSubgroup, systemd 254): one that has processes itself shares nothing out.
    """

    where: str = ""
    controllers: frozenset[str] = frozenset()

    @classmethod
    def find(cls, root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> Groups:
        try:
            found = re.search(r"^0::(/.+)/[^/]+$", Path(own).read_text(), re.MULTILINE)
            where = root + found[1] if found else ""
            if not where or os.getxattr(where, "user.delegate") != b"1":
                return cls()
            shared = Path(where, "cgroup.subtree_control")
            for name in ("memory", "pids", "cpu"):
                with suppress(OSError):  # the unit may have been given some of them
                    shared.write_text(f"+{name}")
            return cls(where, frozenset(shared.read_text().split()))
        except OSError:
            return cls()

    def make(self, limits: Limits) -> str:
        """An empty group with these limits, "" where it would keep none; raises OSError."""
        kept = limits.kept(self, owned=True)
        files = {file: name for name, file in kept.items() if file == MEANS[name][1]}
        if not files:
            return ""
        group = f"{self.where}/worker-{os.getpid()}-{time.monotonic_ns()}"
        os.mkdir(group)
        for file, name in files.items():
            Path(group, file).write_text(str(getattr(limits, name)))
        if "memory.max" in files:  # all of it ends, or nothing
            Path(group, "memory.oom.group").write_text("1")
        return group


def enter(group: str, pid: int) -> None:
    if group:
        Path(group, "cgroup.procs").write_text(str(pid))


def leave(group: str) -> list[str]:
    """Which limits were reached in it. A job that outlives its worker keeps the group."""
    hit = []
    for name, (file, event) in EVENTS.items():
        with suppress(OSError):
            if re.search(rf"^{event} [1-9]", Path(group, file).read_text(), re.MULTILINE):
                hit.append(name)
    with suppress(OSError):
        os.rmdir(group)
    return hit


def limit(pid: int, limits: Limits, kept: dict[str, str]) -> None:
    """Set what a process keeps by itself; 0 for this one."""
    for name, means in kept.items():
        number = getattr(limits, name)
        if means.startswith("RLIMIT"):
            kind = getattr(resource, means)
            hard = resource.prlimit(pid, kind)[1]
            number = number if hard == resource.RLIM_INFINITY else min(number, hard)
            resource.prlimit(pid, kind, (number, number))
        elif means == "nice":  # each step is a quarter more, or less; none is above everybody's
            nice = max(0, round(math.log(100 / number, 1.25)))
            ours = os.getpriority(os.PRIO_PROCESS, pid)
            os.setpriority(os.PRIO_PROCESS, pid, min(19, ours + nice))
            with suppress(OSError):  # a session has its own part, where the kernel groups them
                Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(min(19, nice)))


# What is on the disk.


@dataclass(frozen=True)
class Place:
    """The end of a path, and who owns what is on the way to it."""

    path: str  # without symlinks
    fd: int  # O_PATH, where it is to be held; else -1
    status: os.stat_result
    owners: frozenset[int]


def walk(path: str, *, hold: bool = False) -> Place:
    """Follow an absolute path from the root, each name by a descriptor of the one before.

    Raises Refused where somebody besides the owners could exchange a name of it: what anybody but
    the owner may write, sticky or not. An ACL that lets others write shows in the group's bits.
    """
    left = path.split("/")[::-1]
    fds = [os.open("/", os.O_PATH | os.O_DIRECTORY)]
    names: list[str] = []
    owners, links = {os.fstat(fds[0]).st_uid}, 0
    try:
        while left:
            name = left.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if names:
                    names.pop()
                    os.close(fds.pop())
                continue
            shown = "/" + "/".join([*names, name])
            if len(names) >= DEPTH:
                raise Refused(f"{path} is too deep")
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=fds[-1])
            names.append(name)
            fds.append(fd)
            status = os.fstat(fd)
            owners.add(status.st_uid)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                text = os.readlink("", dir_fd=fd)
                if links > LINKS:
                    raise Refused(f"{path} has too many symlinks")
                keep = 0 if text.startswith("/") else len(names) - 1
                while len(names) > keep:
                    names.pop()
                    os.close(fds.pop())
                left += text.split("/")[::-1]
            elif status.st_mode & 0o022:
                raise Refused(f"{shown} can be written by others than its owner (chmod go-w)")
            elif file_system(fd) == FUSE:
                raise Refused(f"{shown} is on a FUSE file system, whose program names the owners")
        end, status = os.dup(fds[-1]) if hold else -1, os.fstat(fds[-1])
        return Place("/" + "/".join(names), end, status, frozenset(owners))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    finally:
        for fd in fds:
            os.close(fd)


def file_system(fd: int) -> int:
    status = (ctypes.c_long * 32)()  # struct statfs: its type comes first
    if LIBC.fstatfs(fd, status):
        raise OSError(ctypes.get_errno(), "fstatfs failed")
    return status[0]


def check_owners(uid: int, *places: Place) -> None:
    for place in places:
        if others := place.owners - {0, uid}:
            raise Refused(f"on the way to {place.path} something belongs to user {min(others)}")


def directory(path: str, below: str) -> Place:
    place = walk(path)
    if not place.path.startswith(f"{below}/"):
        raise Refused(f"{path} leads out of {below}, to {place.path}")
    if not stat.S_ISDIR(place.status.st_mode):
        raise Refused(f"{place.path} is not a directory")
    return place


@dataclass(frozen=True)
class Start:
    """All that decides about a process. ``program`` is open, and was checked."""

    user: pwd.struct_passwd
    program: int
    arguments: tuple[str, ...]
    limits: Limits


@dataclass(frozen=True)
class Request:
    """``wsgi`` and ``python``: what the router has found for the site, without symlinks."""

    site: str
    wsgi: str
    python: str
    limits: Limits = Limits()


def parse(message: bytes) -> Request:
    if len(message) == MESSAGE:
        raise Refused("the request is too long")
    try:
        given = json.loads(message)
        limits = Limits(**given.pop("limits", {}))
        request = Request(**given, limits=limits)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("that is no request") from error
    texts = (request.site, request.wsgi, request.python)
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise Refused("that is no request")
    if not all(type(number) is int and 0 <= number < 2**63 for number in vars(limits).values()):
        raise Refused("that is no request")
    if not SITE.fullmatch(request.site):
        raise Refused(f"{request.site!a} is not the name of a site")
    return request


def examine(policy: Policy, request: Request, *, known: bool = False) -> Start:
    """Find what is asked for; raises Refused.

    ``known``: an earlier request has found ``wsgi`` and ``python`` there: it is a release that the
    site may not lead to any more. All else is checked anew.
    """
    base = walk(policy.base_path).path
    site = directory(f"{base}/{request.site}", base)
    uid = site.status.st_uid
    check_owners(uid, site)
    user = owner(policy, uid, site.path)
    wsgi = directory(request.wsgi if known else f"{site.path}/{policy.wsgi_dir}", base)
    if wsgi.status.st_uid != uid:
        raise Refused(f"{wsgi.path} is not owned by {user.pw_name}, as {site.path} is")
    check_owners(uid, wsgi)
    found, options = BARE, ["-s", "-S"]
    if request.python != BARE:
        places = os.path.dirname(request.python) if known else f"{site.path}/{policy.venv_name}/bin"
        binaries = walk(places)
        check_owners(uid, binaries)
        found, options = f"{binaries.path}/python", ["-s"]
    if (wsgi.path, found) != (request.wsgi, request.python):
        raise Refused(f"{site.path} leads to {wsgi.path} and {found}: it was changed meanwhile")
    program = walk(found, hold=True)
    check_owners(uid, program)
    if not stat.S_ISREG(program.status.st_mode):
        raise Refused(f"{program.path} is not a file")
    return Start(
        user, program.fd, (found, *options, WORKER, "3", "4", request.site), request.limits
    )


def owner(policy: Policy, uid: int, path: str) -> pwd.struct_passwd:
    if uid < max(1, policy.least_uid):
        raise Refused(f"{path} belongs to user {uid}; the least is {policy.least_uid} (least_uid)")
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        raise Refused(f"{path} belongs to user {uid}, who is not in the password file") from None
    if uid == pwd.getpwnam(policy.daemon_user).pw_uid:
        raise Refused(f"{path} belongs to {policy.daemon_user}, the user of the daemon")
    return user


@dataclass(frozen=True)
class Placed:
    """The control group of a worker, or "", and what keeps each of its limits."""

    group: str
    kept: dict[str, str]


# What runs in the child, until the interpreter takes its place.


def become(user: pwd.struct_passwd) -> None:
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    if 0 in groups:
        raise Refused(f"{user.pw_name} is in the group 0")
    os.setgroups(groups)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    ids = (*os.getresuid(), *os.getresgid())
    if ids != (*[user.pw_uid] * 3, *[user.pw_gid] * 3) or os.getuid() == 0:
        raise Refused("the change of the user failed")
    arguments = map(ctypes.c_ulong, (1, 0, 0, 0))
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, *arguments):
        raise Refused("no-new-privileges failed")


def execute(
    start: Start, kept: dict[str, str], control: int, lifeline: int, output: int
) -> NoReturn:
    null = os.open("/dev/null", os.O_RDONLY)
    wanted = (null, output, output, control, lifeline)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in wanted]
    for number, fd in enumerate(high):
        os.dup2(fd, number)  # all others are closed by the exec
    os.chdir("/")
    os.umask(0o022)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # The owner must be able to get there without us: a descriptor needs no rights on the way.
    if not os.path.samestat(os.stat(start.arguments[0]), os.fstat(start.program)):
        raise Refused(f"{start.arguments[0]} was changed meanwhile")
    limit(0, start.limits, kept)
    user = start.user
    environ = {"PATH": COMMANDS, "LANG": "C.UTF-8", "HOME": user.pw_dir}
    environ |= {"USER": user.pw_name, "LOGNAME": user.pw_name}
    os.execve(start.program, start.arguments, environ)


def child(begin: Callable[[], Start], place: Placed, fds: tuple[int, int, int], say: int) -> None:
    """Never returns; writes to ``say`` why nothing was executed."""
    try:
        os.setsid()
        enter(place.group, 0)
        start = begin()
        for number in (start.program, say):  # above those that the worker has
            if number < 5:
                raise Refused("the spawner was started without its standard streams")
        become(start.user)
        execute(start, place.kept, *fds)
    except BaseException as error:
        why = str(error) if isinstance(error, Refused) else f"it cannot be started: {error!r}"
        # Links of the site may be in the text: nothing of it begins a line of a log.
        why = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in why)
        os.write(say, why.encode("utf-8", "replace")[: MESSAGE // 2])
    finally:
        os._exit(1)


# The one thread.


@dataclass(eq=False)
class Client:
    """One connection: it waits for a request, for a child, or has a worker."""

    socket: socket.socket
    uid: int
    deadline: float
    request: Request | None = None
    pid: int = 0
    ending: int = -1  # the pidfd
    group: str = ""  # its control group
    says: int = -1  # where the child says why it executes nothing
    handed: list[int] = field(default_factory=list)  # the router's ends, until it has them
    runs: bool = False


class Service:
    """Everything that is open, and what is called when it is readable."""

    def __init__(
        self, policy: Policy, listener: socket.socket, allowed: Sequence[int], groups: Groups
    ) -> None:
        self._policy = policy
        self._groups = groups
        for left in Path(groups.where or "/nowhere").glob("worker-*"):  # by an earlier spawner
            with suppress(OSError):
                left.rmdir()
        self._listener = listener
        self._allowed = allowed
        self._poll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._closing: list[int] = []
        self._clients: set[Client] = set()
        # Two descriptors for each worker, six for each that is to come.
        self._most = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 6 * PENDING - 16) // 2
        # Site -> the last releases that a worker was started for.
        self._known: dict[str, list[tuple[str, str]]] = {}
        self._watch(listener.fileno(), self._accept)

    def run(self) -> NoReturn:
        while True:
            soonest = min((each.deadline for each in self._clients), default=math.inf)
            left = max(0.0, soonest - time.monotonic())
            for fd, _ in self._poll.poll(None if left == math.inf else left):
                if fd in self._calls:
                    self._calls[fd]()
            for client in list(self._clients):
                if client.deadline <= time.monotonic():
                    self._refuse(client, "it took too long")
            while self._closing:
                os.close(self._closing.pop())

    def _watch(self, fd: int, call: Callable[[], None]) -> None:
        self._poll.register(fd, select.EPOLLIN)
        self._calls[fd] = call

    def _forget(self, fd: int) -> None:
        if self._calls.pop(fd, None):
            self._poll.unregister(fd)

    def _close(self, *fds: int) -> None:
        """At the end of the turn: until then an event of theirs may still be on the list."""
        for fd in fds:
            if fd >= 0:
                self._forget(fd)
                self._closing.append(fd)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went away
            return
        connection.setblocking(False)
        size = struct.calcsize("iII")
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, uid, _ = struct.unpack("iII", peer)
        client = Client(connection, uid, time.monotonic() + REQUEST_SECONDS)
        pending = sum(each.uid == uid and not each.runs for each in self._clients)
        self._clients.add(client)
        if uid not in self._allowed:
            self._refuse(client, f"user {uid} may not ask")
        elif pending >= PENDING or len(self._clients) > self._most:
            self._refuse(client, BUSY)
        else:
            self._watch(connection.fileno(), lambda: self._receive(client))

    def _receive(self, client: Client) -> None:
        """A request; later, a signal for the worker. Whatever else comes ends the client."""
        try:
            message = client.socket.recv(MESSAGE)
        except OSError:
            message = b""
        if client.runs and message in (b"15", b"9"):
            self._signal(client, int(message))
        elif client.pid:
            self._forget(client.socket.fileno())
            self._signal(client, signal.SIGKILL)
        elif not message:
            self._end(client)
        else:
            try:
                client.request = parse(message)
                self._start(client, client.request)
            except (Refused, OSError) as error:
                self._refuse(client, str(error))

    def _start(self, client: Client, request: Request) -> None:
        known = (request.wsgi, request.python) in self._known.get(request.site, ())
        control, theirs = (end.detach() for end in socket.socketpair())
        their_lifeline, lifeline = os.pipe()
        output, their_output = os.pipe()
        client.says, say = os.pipe()
        client.handed = [control, lifeline, output]
        given = (theirs, their_lifeline, their_output)
        try:
            client.group = self._groups.make(request.limits)
            placed = Placed(client.group, request.limits.kept(self._groups, owned=True))
            client.pid = os.fork()
            if not client.pid:
                child(lambda: examine(self._policy, request, known=known), placed, given, say)
        finally:
            for fd in (*given, say):
                os.close(fd)
        try:
            client.ending = os.pidfd_open(client.pid)
        except OSError:
            self._signal(client, signal.SIGKILL)
            os.waitpid(client.pid, 0)
            client.pid = 0
            raise
        client.deadline = time.monotonic() + CHECK_SECONDS
        self._watch(client.says, lambda: self._started(client, request))
        self._watch(client.ending, lambda: self._ended(client, request))

    def _started(self, client: Client, request: Request) -> None:
        """The child says why not; or its end is closed, because it executes the interpreter."""
        if why := os.read(client.says, MESSAGE).decode(errors="replace"):
            self._refuse(client, why)
            return
        self._close(client.says)
        client.says, client.runs, client.deadline = -1, True, math.inf
        kept = request.limits.kept(self._groups, owned=True)
        _send(client.socket, {"pid": client.pid, "kept": kept}, [*client.handed, client.ending])
        self._close(*client.handed)
        client.handed.clear()
        release, known = (request.wsgi, request.python), self._known.pop(request.site, [])
        last = [release, *(each for each in known if each != release)]
        self._known[request.site] = last[:RELEASES]
        if len(self._known) > SITES:
            del self._known[next(iter(self._known))]

    def _signal(self, client: Client, number: int) -> None:
        """To a child that was not reaped, so that the number is its own."""
        with suppress(ProcessLookupError):
            os.kill(client.pid, number)
        with suppress(ProcessLookupError):  # at its very beginning it has no group
            os.killpg(client.pid, number)

    def _ended(self, client: Client, request: Request) -> None:
        if client.says >= 0:
            self._started(client, request)
        self._signal(client, signal.SIGKILL)  # what is left of its group
        _, status = os.waitpid(client.pid, 0)
        hit = leave(client.group) if client.group else []
        _send(client.socket, {"status": os.waitstatus_to_exitcode(status), "hit": hit})
        client.group = ""
        self._end(client)

    def _refuse(self, client: Client, why: str) -> None:
        """A child that there is has to end first."""
        site = client.request.site if client.request else "a request"
        _say(f"{site}: refused: {why}")
        _send(client.socket, {"refused": why})
        self._close(client.says)
        client.says, client.deadline = -1, math.inf
        if client.pid:
            self._signal(client, signal.SIGKILL)
        else:
            self._end(client)

    def _end(self, client: Client) -> None:
        if client.group:  # nothing was started in it
            leave(client.group)
        self._close(client.says, client.ending, *client.handed, client.socket.detach())
        self._clients.discard(client)


def _send(connection: socket.socket, value: Any, fds: Sequence[int] = ()) -> None:
    with suppress(OSError):  # nobody is there, or nobody reads
        socket.send_fds(connection, [json.dumps(value).encode()], fds, socket.MSG_DONTWAIT)


def _say(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def listen(path: str, group: int) -> socket.socket:
    """The socket, open to root and the group; raises Refused."""
    with suppress(FileExistsError):
        os.mkdir(os.path.dirname(path), 0o755)
    place = walk(os.path.dirname(path))
    check_owners(0, place)
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.umask(0o777)
    listener.bind(path)
    os.chown(path, 0, group)
    os.chmod(path, 0o660)
    listener.listen(PENDING)
    listener.setblocking(False)
    return listener


def main(arguments: Sequence[str]) -> None:
    try:
        policy = read_policy(arguments[0] if arguments else CONFIG)
        user = pwd.getpwnam(policy.daemon_user)
        listener = listen(policy.spawner_socket, user.pw_gid)
        service = Service(policy, listener, (0, user.pw_uid), Groups.find())
    except (Refused, OSError, ValueError, KeyError) as error:
        sys.exit(f"mod-wsgi-van spawner: {error}")
    _say(f"{policy.spawner_socket} is open to {user.pw_name}")
    service.run()


if __name__ == "__main__":
    main(sys.argv[1:])
