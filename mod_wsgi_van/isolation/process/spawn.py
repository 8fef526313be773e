"""Starts the worker processes of one release, each from what the release was loaded from."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from mod_wsgi_van.errors import BadObject, ImportFailed, LoadError, LoadTimeout, WorkerFailed
from mod_wsgi_van.files.reading import out_of_reach
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.environment import base_python
from mod_wsgi_van.isolation.process.bounds import limits_of, reached, told, unkept, ways
from mod_wsgi_van.isolation.process.handle import Ends, Owner, Process, Worker
from mod_wsgi_van.isolation.process.hired import hire
from mod_wsgi_van.isolation.process.output import Output
from mod_wsgi_van.isolation.process.spawner import Groups, Limits, enter, leave, limit
from mod_wsgi_van.isolation.process.supervisor import Supervisor
from mod_wsgi_van.isolation.process.worker import HEADER
from mod_wsgi_van.isolation.variables import passed_on
from mod_wsgi_van.settings import Settings

SCRIPT = str(Path(__file__).with_name("worker.py"))
REASON_BYTES = 4 * 1024 * 1024  # of the JSON that says why nothing was loaded
_VERSION = re.compile(r"[\d.]{1,12}", re.ASCII)

log = logging.getLogger(__name__)


class Child(subprocess.Popen[bytes]):
    """A worker process of the daemon's own user."""

    group = ""  # its control group
    kept: dict[str, str] = {}
    hit: tuple[str, ...] = ()

    def limit(self, limits: Limits) -> None:
        """While it waits for its order: but code that Python runs at its start may run before."""
        groups = Groups.find()
        self.group = groups.make(limits)
        self.kept = limits.kept(groups, owned=False)
        with suppress(ProcessLookupError):  # it has ended: that is told when it is waited for
            enter(self.group, self.pid)
            limit(self.pid, limits, self.kept)

    def wait(self, timeout: float | None = None) -> int:
        status = super().wait(timeout)
        if self.group:
            self.hit = tuple(leave(self.group))
            self.group = ""
        return status

    def send_signal(self, number: int) -> None:
        os.killpg(self.pid, number)

    def disown(self) -> None:
        self.returncode = 0  # not ours to wait for, and no warning about it


class Starter:
    """Starts workers of one release; called from any thread.

    The path of the interpreter is resolved once, here, as all others were before: after a swap of
    the site's link a later worker must not get the environment of another release.
    """

    def __init__(self, source: Source, settings: Settings, supervisor: Supervisor) -> None:
        """Raises errors.WorkerFailed when the path of the interpreter cannot be followed."""
        self._settings = settings
        self._said = False
        self._supervisor = supervisor
        # What is installed for the system's own Python is no part of a site without an environment.
        self._bare = source.python == base_python()
        try:
            self._source = replace(source, python=_resolve(source.python))
            self._configs = _configs(self._source.python)
        except (OSError, ValueError) as error:
            raise WorkerFailed(_why_not_started(source, error)) from error

    def spawn(self, owner: Owner) -> Worker:
        """Start a worker and wait until its application is imported; raises errors.LoadError."""
        self._check_environment()
        worker = self._start(owner)
        try:
            self._await_ready(worker)
            self._check_environment()  # it was the same all the time
        except BaseException:
            self._supervisor.kill(worker)
            owner.give_back(worker)
            raise
        worker.control.settimeout(None)
        worker.ready_at = time.monotonic()
        return worker

    def _check_environment(self) -> None:
        """Without its pyvenv.cfg the interpreter would run as well, in another environment.

        To look first is also what keeps the interpreter running when the site's file system does
        not answer: subprocess holds the GIL until the new program is read.
        """
        source = self._source
        try:
            os.stat(source.python)
            configs = _configs(source.python)
        except OSError as error:
            raise WorkerFailed(_why_not_started(source, error)) from error
        if configs != self._configs:
            raise WorkerFailed(
                f"{source.host}: {source.python} is no longer in the environment that this release"
                " was loaded with, which was removed or made anew: no worker is started in"
                f" another one; deploy again, or touch {source.directory} when it is complete"
            )

    def _start(self, owner: Owner) -> Worker:
        try:
            with ExitStack() as ours:
                process: Process
                if self._settings.site_user == "owner":
                    process, ends = hire(self._source, self._settings, ours)
                else:
                    process, ends = self._own(ours)
                os.set_blocking(ends.output, False)
                lines = Output(ends.output, self._source.host)
                worker = Worker(owner, process, ends.control, ends.lifeline, ends.ending, lines)
                self._supervisor.adopt(worker)
                ours.pop_all()
                self._say(process.kept)
                return worker
        except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
            raise WorkerFailed(_why_not_started(self._source, error)) from error

    def _say(self, kept: dict[str, str]) -> None:
        """Of the first worker."""
        if kept and not self._said:
            log.info("%s: limits of its workers: %s", self._source.host, ways(kept) or "none")
            if missing := unkept(kept):
                text = (
                    "%s: VAN049: nothing keeps %s here, where workers have the daemon's user; set"
                    ' site_user = "owner", or give the daemon a unit with Delegate and'
                    " DelegateSubgroup"
                )
                log.warning(text, self._source.host, missing)
        self._said = True

    def _own(self, ours: ExitStack) -> tuple[Child, Ends]:
        """Start a process with nothing but its two descriptors and the pipe for its output."""
        with ExitStack() as theirs:
            control, their_control = socket.socketpair()
            ours.enter_context(control)
            theirs.enter_context(their_control)
            their_lifeline, lifeline = _pipe(theirs, ours)
            output, their_output = _pipe(ours, theirs)
            process = self._popen(their_control.fileno(), their_lifeline, their_output)
        ours.callback(_end, process, lifeline)
        process.limit(limits_of(self._settings))
        ending = os.pidfd_open(process.pid)
        ours.callback(os.close, ending)
        return process, Ends(control, lifeline, output, ending)

    def _popen(self, control: int, lifeline: int, output: int) -> Child:
        python, host = self._source.python, self._source.host
        options = ["-s", "-S"] if self._bare else ["-s"]
        return Child(
            [python, *options, SCRIPT, str(control), str(lifeline), host],  # the host is for ps
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(control, lifeline),
            env=passed_on(self._settings.process_environ, os.environ) | dict(self._source.env),
            start_new_session=True,
        )

    def _await_ready(self, worker: Worker) -> None:
        source, settings = self._source, self._settings
        timeout = settings.load_timeout
        deadline = time.monotonic() + timeout
        try:
            worker.control.settimeout(timeout)  # it need not read
            worker.control.sendall(self._order())
            kind, length = HEADER.unpack(_await(worker.control, HEADER.size, deadline))
            payload = _await(worker.control, min(length, REASON_BYTES), deadline)
        except TimeoutError:
            raise LoadTimeout(
                f"{source.host}: {source.module_name!r} from {source.directory} was not imported"
                f" within {timeout:g} s (load_timeout): its worker is ended"
            ) from None
        except OSError:
            worker.gone.wait(2.0)  # for how it ended, and its last words
            raise WorkerFailed(
                f"{source.host}: its worker ({source.python}) ended before it was ready:"
                f" {worker.how}{_because(reached(settings, worker.hit))}",
                details="\n".join(worker.output.tail),
            ) from None
        if kind != b"+":
            raise _refusal(source, settings, payload)
        name, _, python = payload.decode("utf-8", "replace").partition(" ")
        worker.entry = source.entry(name if name in source.names else source.object_name)
        worker.python = python if _VERSION.fullmatch(python) else ""

    def _order(self) -> bytes:
        """The frame that tells a worker what to load."""
        source, settings = self._source, self._settings
        hired = settings.site_user == "owner"  # which nothing of the daemon's variables reaches
        order = {
            "directory": source.directory,
            "site_packages": source.site_packages,
            "module": source.module_name,
            "objects": source.names,
            "factory": source.factory,
            "threads": settings.process_threads,
            "processes": settings.processes_per_vhost,
            "privileges": settings.setuid_programs == "allowed",
            "env": passed_on(settings.process_environ, {}) | dict(source.env) if hired else {},
        }
        payload = json.dumps(order).encode()
        return HEADER.pack(b"L", len(payload)) + payload


def _resolve(python: str) -> str:
    """Make the directory of an interpreter real.

    The last component stays: the link ``.venv/bin/python`` is what tells Python its environment.
    """
    directory, name = os.path.split(python)
    return os.path.join(os.path.realpath(directory), name)


def _configs(python: str) -> list[tuple[int, ...]]:
    """Which pyvenv.cfg make the environment of an interpreter: an empty tuple where there is none.

    A new one of the same text is another environment: what was installed may not be there yet. By
    size and mtime: others may change the owner, and FUSE the number of an inode.
    """
    found: list[tuple[int, ...]] = [(), ()]
    directory = os.path.dirname(python)
    for at, place in enumerate((directory, os.path.dirname(directory))):  # where Python looks
        with suppress(FileNotFoundError, NotADirectoryError):
            status = os.stat(os.path.join(place, "pyvenv.cfg"))
            found[at] = (status.st_size, status.st_mtime_ns)
    return found


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed with these."""
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


def _end(process: Child, lifeline: int) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except PermissionError:
        os.write(lifeline, b"k")
    process.wait()


def _await(control: socket.socket, size: int, deadline: float) -> bytes:
    """So many bytes; raises TimeoutError after the deadline, another OSError at the end."""
    received = b""
    while len(received) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        control.settimeout(left)
        part = control.recv(size - len(received))
        if not part:
            raise ConnectionResetError
        received += part
    return received


def _because(why: str) -> str:
    return why and f": {why}"


def _refusal(source: Source, settings: Settings, payload: bytes) -> LoadError:
    """The error for a reason that a worker gave, which is believed no further than its types."""
    try:
        reason = json.loads(payload)
        message, details = str(reason["message"]), str(reason["details"])
        files = tuple(str(file) for file in reason["files"])
        kind = reason["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return WorkerFailed(f"{source.host}: its worker answered garbage before it was ready")
    if kind == "object":
        return BadObject(f"{source.host}: {message}", files=files)
    message += _because(reached(settings, told(settings, details)))
    what = f"import of {source.module_name!r} from {source.directory} failed"
    return ImportFailed(f"{source.host}: {what}: {message}", details=details, files=files)


def _why_not_started(source: Source, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    remedy = ""
    if isinstance(error, RuntimeError) or number in (errno.EAGAIN, errno.ENOMEM):
        remedy = "; raise the limit of processes (TasksMax, RLIMIT_NPROC) or the memory"
    elif number in (errno.EMFILE, errno.ENFILE):
        remedy = "; raise the limit of open files (LimitNOFILE) of the server"
    elif number == errno.EACCES and (closed := out_of_reach(source.python)):
        remedy = f"; {closed}: give it the permission, or make the environment with another Python"
    elif number in (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.ELOOP):
        remedy = f"; make the environment anew (python3 -m venv {source.venv})"
    elif number in (errno.ENOSYS, errno.EPERM):
        remedy = "; pidfd_open(2) is needed: Linux 5.3, and a container that allows it"
    return f"{source.host}: no worker can be started with {source.python}: {error}{remedy}"
