"""What the router has of one worker process, and what it asks of the worker's owner."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from mod_wsgi_van.isolation.process.frames import Connection
from mod_wsgi_van.isolation.process.output import Output
from mod_wsgi_van.isolation.process.worker import HEADER

NO_FILES = HEADER.pack(b"!", 5) + b"files"  # it had no descriptor left for a connection
_SIGNALS = {each.value: each.name for each in signal.Signals}


class Process(Protocol):
    """The worker's process, a leader of its group: a child of ours or of the spawner's."""

    @property
    def pid(self) -> int: ...

    @property
    def kept(self) -> dict[str, str]:
        """Its limits, and what keeps each."""

    @property
    def hit(self) -> tuple[str, ...]:
        """The limits that it had reached, once it is reaped."""

    def send_signal(self, number: int) -> None:
        """To its group, before it is reaped; raises OSError."""

    def wait(self) -> int | None:
        """Reap it; as subprocess has it, None where nobody can tell."""

    def disown(self) -> None:
        """In a forked child: it stays the parent's."""


class Ends(NamedTuple):
    """What the router has open of a worker process."""

    control: socket.socket
    lifeline: int  # the writing end: the kernel kills the worker when nobody holds it any more
    output: int
    ending: int  # a pidfd: it becomes readable when the process has ended


class Owner(Protocol):
    """Whose worker it is. The supervisor's thread calls these, and holds no lock meanwhile."""

    def lost(self, worker: Worker) -> None:
        """It hung up or ended: it gets no more requests."""

    def late(self, worker: Worker) -> None:
        """It has not noticed within ``request_timeout`` that nobody waits for a response."""

    def give_back(self, worker: Worker) -> None:
        """It has noticed: the request is over."""

    def gone(self, worker: Worker, *, expected: bool) -> None:
        """Its process is no more."""

    def idle_at(self) -> float:
        """When ``give_back_idle`` is to be called, monotonic; infinity for not at all."""

    def give_back_idle(self, now: float) -> None:
        """Retire the workers if no request has come until ``now``."""


@dataclass(eq=False, slots=True)
class Worker:
    """One worker process. What stands below ``ready_at`` is guarded by its owner's lock."""

    owner: Owner
    process: Process
    control: socket.socket
    lifeline: int
    ending: int
    output: Output
    how: str = "it closed its control socket"  # how it ended is known when it is gone
    gone: threading.Event = field(default_factory=threading.Event)
    ready_at: float = 0.0  # monotonic; 0: its application is still being imported
    busy: int = 1  # requests that it has; while it starts, the thread that waits for it
    served: int = 0
    answered: bool = False
    used_at: float = 0.0  # when a request ended last; monotonic, 0 before the first
    idle: list[Connection] = field(default_factory=list)
    replaced: bool = False  # gets no more requests as soon as there is a fresh one
    leaving: bool = False  # gets no more requests, because the router wants it to end
    weighed_at: float = 0.0
    entry: str = ""  # what it says that it has loaded, and its Python
    python: str = ""
    hit: tuple[str, ...] = ()  # the limits that it had reached when it ended

    @property
    def pid(self) -> int:
        return self.process.pid

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
        return Connection(ours, timeout)

    def resident(self) -> int:
        """Bytes of resident memory, 0 when it is gone."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def quit(self) -> None:
        """Ask it to run its exit handlers and end."""
        with contextlib.suppress(OSError):
            self.control.send(b"q", socket.MSG_DONTWAIT)  # it may not be reading

    def signal(self, number: int) -> None:
        """To the worker and all it has started; only before it is reaped, while the pid is its."""
        try:
            self.process.send_signal(number)
        except PermissionError:  # it runs as another user, who lets the kernel kill it
            if number == signal.SIGKILL:
                with contextlib.suppress(OSError):
                    os.write(self.lifeline, b"k")
        except OSError:
            pass

    def reap(self) -> None:
        """Kill what is left of its process group, wait for it, and pass on its last output."""
        self.signal(signal.SIGKILL)
        status = self.process.wait()
        self.hit = self.process.hit
        if self.ready_at:  # else what it says is for the thread that waits until it is ready
            with contextlib.suppress(OSError):
                if self.control.recv(len(NO_FILES), socket.MSG_DONTWAIT) == NO_FILES:
                    self.hit += ("files",)
        if status is None:
            self.how = "it ended, and the spawner does not say how"
        elif status >= 0:
            self.how = f"it exited with status {status}"
        else:
            self.how = f"signal {_SIGNALS.get(-status, -status)} ended it"
        self.output.close()
        os.close(self.ending)
        self.gone.set()

    def close(self) -> None:
        """Close what requests use; what the kernel shares with a parent process is left alone."""
        self.control.close()
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1
        while self.idle:
            self.idle.pop().socket.close()

    def disown(self) -> None:
        """In a forked child: close everything of a worker that stays the parent's."""
        self.close()
        os.close(self.ending)
        os.close(self.output.fd)
        self.process.disown()
