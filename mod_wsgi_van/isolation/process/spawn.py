"""Starts a worker process and holds what the router has of it."""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mod_wsgi_van.errors import BadObject, ImportFailed, LoadError, LoadTimeout, WorkerFailed
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.process.frames import HEADER, Connection
from mod_wsgi_van.isolation.process.output import Output
from mod_wsgi_van.settings import Settings

if TYPE_CHECKING:
    from mod_wsgi_van.isolation.process.pool import Pool
    from mod_wsgi_van.isolation.process.supervisor import Supervisor

SCRIPT = str(Path(__file__).with_name("worker.py"))
REASON_BYTES = 4 * 1024 * 1024  # of the JSON that says why nothing was loaded
STACK_BYTES = 10 * 1024 * 1024  # of address space for each thread's stack
# Set for another interpreter than the worker's.
_NEVER_PASSED_ON = ("PYTHON*", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class Worker:
    """One worker process as the router sees it.

    What follows ``busy`` belongs to its pool and is guarded by the pool's lock.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        lifeline: int,
        output: Output,
        pool: Pool,
    ) -> None:
        self.process = process
        self.pid = process.pid
        self.control = control
        self.lifeline = lifeline
        self.output = output
        self.pool = pool
        self.ready_at = 0.0
        self.how = "it closed its control socket"  # it ended; known when it is gone
        self.gone = threading.Event()  # reaped, and its last output passed on
        self.busy = 1  # requests that it has; while it starts, the thread that waits for it
        self.served = 0
        self.answered = False
        self.idle: list[Connection] = []
        self.replaced = False  # gets no more requests as soon as there is a fresh one
        self.weighed_at = 0.0

    def connect(self, timeout: float) -> Connection:
        """A new connection, whose other end is sent to the worker; raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            if timeout:  # in the kernel: a time-out of Python's costs a system call per receive
                value = struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
            socket.send_fds(self.control, [b"c"], [theirs.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return Connection(ours)

    def resident(self) -> int:
        """Bytes of resident memory, 0 when it is gone."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: int) -> None:
        """To the worker and all it has started; only before it is reaped, while the pid is its."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def ended(self) -> str | None:
        """How it ended, without reaping it; None while it runs."""
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        if result.si_code == os.CLD_EXITED:
            return f"it exited with status {result.si_status}"
        try:
            name = signal.Signals(result.si_status).name
        except ValueError:
            name = str(result.si_status)
        return f"signal {name} ended it"

    def close(self) -> None:
        """Close every descriptor; what the kernel shares with a parent process is left alone."""
        self.control.close()
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1
        while self.idle:
            self.idle.pop().socket.close()


def spawn(source: Source, settings: Settings, supervisor: Supervisor, pool: Pool) -> Worker:
    """Start a worker and wait until its application is imported; raises errors.LoadError."""
    supervisor.start()
    worker = _start(source, settings, supervisor, pool)
    try:
        _await_ready(worker, source, settings, supervisor)
    except BaseException:
        supervisor.kill(worker)
        pool.give_back(worker)
        raise
    worker.ready_at = time.monotonic()
    worker.control.settimeout(None)
    return worker


def _await_ready(
    worker: Worker, source: Source, settings: Settings, supervisor: Supervisor
) -> None:
    deadline = time.monotonic() + settings.load_timeout
    try:
        _order(worker, source, settings)
        kind, payload = _await_frame(worker.control, deadline)
        if kind == b"!":
            raise _refusal(source, payload)
        if kind != b"+":
            raise WorkerFailed(f"{source.host}: its worker answered garbage before it was ready")
    except TimeoutError:
        raise LoadTimeout(
            f"{source.host}: {source.module_name!r} from {source.directory} was not imported within"
            f" {settings.load_timeout:g} s (load_timeout): its worker was killed"
        ) from None
    except OSError:
        supervisor.end(worker)
        worker.gone.wait(2.0)  # for how it ended, and its last words
        raise WorkerFailed(
            f"{source.host}: its worker ({source.python}) ended before it was ready: {worker.how}",
            details="\n".join(worker.output.tail),
        ) from None


def _start(source: Source, settings: Settings, supervisor: Supervisor, pool: Pool) -> Worker:
    """Start the process with nothing but its two descriptors and the pipe for its output."""
    opened: list[int] = []
    try:
        ours, theirs = socket.socketpair()
        opened += (ours.detach(), theirs.detach())
        opened += os.pipe()
        opened += os.pipe()
        our_control, control, lifeline, our_lifeline, our_output, output = opened
        process = subprocess.Popen(
            [_interpreter(source.python), "-s", SCRIPT, str(control), str(lifeline), source.host],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(control, lifeline),
            env=_environ(settings.process_environ, os.environ),
            start_new_session=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        for fd in opened:
            os.close(fd)
        raise WorkerFailed(_why_not_started(source, error)) from error
    for fd in (control, lifeline, output):
        os.close(fd)
    os.set_blocking(our_output, False)
    ours = socket.socket(fileno=our_control)
    worker = Worker(process, ours, our_lifeline, Output(our_output, source.host), pool)
    supervisor.adopt(worker)
    return worker


def _interpreter(python: str) -> str:
    """With a real directory, so that a swap of the vhost's link moves no environment under it.

    The last component stays: the link ``.venv/bin/python`` is what tells Python its environment.
    """
    path = Path(python)
    return str(path.parent.resolve() / path.name)


def _environ(passed_on: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    passed = {}
    for item in passed_on:
        name, equals, value = item.partition("=")
        if equals:
            passed[name] = value
            continue
        for key in fnmatch.filter(environ, name):
            if not any(fnmatch.fnmatchcase(key, never) for never in _NEVER_PASSED_ON):
                passed.setdefault(key, environ[key])
    return passed


def _order(worker: Worker, source: Source, settings: Settings) -> None:
    memory = 2 * settings.memory_limit + (settings.process_threads + 2) * STACK_BYTES
    order = {
        "directory": source.directory,
        "site_packages": source.site_packages,
        "module": source.module_name,
        "object": source.object_name,
        "threads": settings.process_threads,
        "processes": settings.processes_per_vhost,
        "memory": memory if settings.memory_limit else 0,
    }
    payload = json.dumps(order).encode()
    worker.control.sendall(HEADER.pack(b"L", len(payload)) + payload)


def _await_frame(control: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    """Raises TimeoutError after the deadline, another OSError at the end."""
    kind, length = HEADER.unpack(_await_bytes(control, HEADER.size, deadline))
    if length > REASON_BYTES:
        return b"", b""
    return kind, _await_bytes(control, length, deadline)


def _await_bytes(control: socket.socket, size: int, deadline: float) -> bytes:
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


def _refusal(source: Source, payload: bytes) -> LoadError:
    """The error for a reason that a worker gave, which is believed no further than its types."""
    try:
        reason = json.loads(payload)
        message, details = str(reason["message"]), str(reason["details"])
        files = tuple(str(file) for file in reason["files"])
        kind = reason["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return WorkerFailed(f"{source.host}: nothing was loaded and the reason given is garbage")
    if kind == "object":
        return BadObject(f"{source.host}: {message}", files=files)
    what = f"import of {source.module_name!r} from {source.directory} failed"
    return ImportFailed(f"{source.host}: {what}: {message}", details=details, files=files)


def _why_not_started(source: Source, error: Exception) -> str:
    text = f"{source.host}: no worker can be started with {source.python}: {error}"
    if not isinstance(error, OSError):
        return text
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{text}; raise the limit of open files (LimitNOFILE) of the server"
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return f"{text}; raise the limit of processes (TasksMax, RLIMIT_NPROC) or the memory"
    if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.ELOOP):
        return f"{text}; make the environment anew (python3 -m venv {source.venv})"
    return text
