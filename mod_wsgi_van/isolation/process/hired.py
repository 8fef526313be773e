"""Workers that the spawner starts for the router, each as the owner of its site."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from contextlib import ExitStack

from mod_wsgi_van.errors import SpawnRefused
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.process.bounds import limits_of
from mod_wsgi_van.isolation.process.handle import Ends
from mod_wsgi_van.isolation.process.spawner import BUSY
from mod_wsgi_van.settings import Settings

_PATIENCE = 20.0  # seconds; the spawner answers in 15
_PAUSE = 0.1  # when it has too much to do
_REAPING = 2.0
_MESSAGE = 8192


class Hired:
    """A process that is the spawner's child. The connection stands for it.

    When the spawner is gone, the worker can be killed by its lifeline and nothing else.
    """

    def __init__(
        self, connection: socket.socket, pid: int, kept: dict[str, str], lifeline: int
    ) -> None:
        self._connection = connection
        self._lifeline = lifeline  # the worker's, which closes it when the process is gone
        self.pid = pid
        self.kept = kept
        self.hit: tuple[str, ...] = ()

    def send_signal(self, number: int) -> None:
        try:
            self._connection.send(b"%d" % number, socket.MSG_DONTWAIT)
        except OSError:
            if number == signal.SIGKILL:
                os.write(self._lifeline, b"k")  # the kernel tells of it with SIGKILL

    def wait(self) -> int | None:
        try:
            self._connection.settimeout(_REAPING)
            try:
                said = self._connection.recv(_MESSAGE)
            except ConnectionResetError:
                # It closed with our last signal unread. That is said once; what it sent follows.
                said = self._connection.recv(_MESSAGE)
            end = json.loads(said)
            self.hit = tuple(end["hit"])
            return int(end["status"])
        except (OSError, ValueError):
            return None
        finally:
            self._connection.close()

    def disown(self) -> None:
        self._connection.close()


def hire(source: Source, settings: Settings, ours: ExitStack) -> tuple[Hired, Ends]:
    """Have a worker started; ``ours`` closes what is open of it. Raises errors.SpawnRefused."""
    deadline = time.monotonic() + _PATIENCE
    while (hired := _ask(source, settings, ours)) is None:
        if time.monotonic() > deadline:
            raise _refused(source, settings, f"the spawner starts no worker: {BUSY}")
        time.sleep(_PAUSE)
    return hired


def _ask(source: Source, settings: Settings, ours: ExitStack) -> tuple[Hired, Ends] | None:
    """None where the spawner is busy."""
    path = settings.spawner_socket
    site = os.path.relpath(source.site, settings.base_path)
    request = {"site": site, "wsgi": source.directory, "python": source.python}
    message = json.dumps({**request, "limits": vars(limits_of(settings))}).encode()
    connection = ours.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    connection.settimeout(_PATIENCE)
    try:
        connection.connect(path)
        with contextlib.suppress(BrokenPipeError):  # it was refused at once: the answer says why
            connection.send(message)
        answer, fds, _, _ = socket.recv_fds(connection, _MESSAGE, 4, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:  # as many wait already as it lets wait
        connection.close()
        return None
    except OSError as error:
        why = f"no spawner answers at {path}: {error}; systemctl start mod-wsgi-van-spawner"
        raise _refused(source, settings, why) from error
    for fd in fds[1:]:
        ours.callback(os.close, fd)
    said = json.loads(answer or b"{}")
    if len(fds) != 4:
        connection.close()
        why = said.get("refused", "it closed the connection")
        if why == BUSY:
            return None
        raise _refused(source, settings, f"the spawner starts no worker: {why}")
    control, lifeline, output, ending = fds
    ends = Ends(ours.enter_context(socket.socket(fileno=control)), lifeline, output, ending)
    return Hired(connection, said["pid"], said["kept"], lifeline), ends


def _refused(source: Source, settings: Settings, why: str) -> SpawnRefused:
    """A spawner that starts makes its socket anew: then the site is tried again."""
    files = (settings.spawner_socket, source.site)
    return SpawnRefused(f"{source.host}: {why}", files=files)
