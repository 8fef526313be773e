"""The socket of one process and its thread, ``van-status``.

A client gets its answer a few lines at a time; in between, other threads and other clients have
their turn. Who sends nothing or does not read is dropped after a while.
"""

from __future__ import annotations

import contextlib
import grp
import itertools
import json
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

log = logging.getLogger(__name__)

LOOK = 60.0  # seconds between two calls of ``look``
_MOST = 16  # clients at a time; a further one takes the place of the one that was idle longest
_PATIENCE = 5.0  # seconds in which a client has to send or to take something
_QUESTION = 4096  # bytes
_BATCH = 30  # lines, which take half a millisecond
# Seconds after each batch. To release the GIL is not enough: it would be ours again before another
# thread has woken up. Then requests waited for up to 50 ms while 10,000 sites were told, now for 9.
_REST = 0.0003

Line = dict[str, Any]
Answer = Callable[[Line], Iterator[Line]]

_taken: dict[str, object] = {}  # the paths of the sockets of this process; each step is atomic


class Asker:
    """One connection: its question, then its answer."""

    __slots__ = ("asked", "deadline", "lines", "socket", "unsent")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.asked = b""
        self.lines: Iterator[bytes] | None = None
        self.unsent = b""
        self.deadline = time.monotonic() + _PATIENCE


class Listener:
    """``answer`` makes the lines for a question; ``look`` is called now and then besides."""

    def __init__(
        self, directory: str, group: str, answer: Answer, look: Callable[[], None]
    ) -> None:
        """Raises OSError where no socket can be made there."""
        self._answer = answer
        self._look = look
        self._clients: set[Asker] = set()
        self._stopping = False
        _remove_dead(directory)
        self.path = _reserve(directory)
        try:
            self._socket = _listen(self.path, group)
        except BaseException:
            _taken.pop(self.path, None)
            raise
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="van-status", daemon=True)

    def start(self) -> None:
        """Raises RuntimeError when no thread is to be had."""
        try:
            self._thread.start()
        except RuntimeError:
            self._remove()
            self._close()
            raise

    def stop(self, timeout: float) -> None:
        """End the thread and remove the socket; may be called twice."""
        if not self._stopping:
            self._remove()
            os.eventfd_write(self._wake, 1)  # first: the thread closes it
            self._stopping = True
        self._thread.join(timeout)

    def after_fork(self) -> None:
        """In a forked child: close what was inherited; the file stays the parent's."""
        _taken.pop(self.path, None)
        self._close()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        _taken.pop(self.path, None)

    def _close(self) -> None:
        """Once: in a child that is forked later the number is somebody else's."""
        wake, self._wake = self._wake, -1
        if wake < 0:
            return
        for client in list(self._clients):
            client.socket.close()
        self._selector.close()
        self._socket.close()
        os.close(wake)

    # The thread.

    def _run(self) -> None:
        look_at = time.monotonic() + LOOK
        while not self._stopping:
            try:
                self._turn(look_at)
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK
                    self._look()
            except Exception:
                log.exception("VAN009: the status thread met an unexpected error and goes on")
                for client in list(self._clients):
                    self._drop(client)
        self._close()

    def _turn(self, look_at: float) -> None:
        due = min([look_at, *(client.deadline for client in self._clients)])
        for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
            if key.fileobj is self._socket:
                self._accept()
            elif key.data is not None:
                try:
                    self._serve(key.data)
                except OSError:  # it has gone
                    self._drop(key.data)
        now = time.monotonic()
        for client in [each for each in self._clients if each.deadline <= now]:
            self._drop(client)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:  # it went again, or there is no descriptor
            time.sleep(0.01)
            return
        connection.setblocking(False)
        if len(self._clients) >= _MOST:
            self._drop(min(self._clients, key=lambda each: each.deadline))
        client = Asker(connection)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _drop(self, client: Asker) -> None:
        if client in self._clients:
            self._clients.discard(client)
            self._selector.unregister(client.socket)
            client.socket.close()

    def _serve(self, client: Asker) -> None:
        """Read what there is of the question, or send the next lines; raises OSError."""
        if client.lines is None:
            part = client.socket.recv(_QUESTION)
            client.asked += part
            if b"\n" in part:
                client.lines = self._lines(client.asked)
                self._selector.modify(client.socket, selectors.EVENT_WRITE, client)
            elif not part or len(client.asked) > _QUESTION:
                self._drop(client)
            return
        if not client.unsent:
            client.unsent = b"".join(itertools.islice(client.lines, _BATCH))
        if not client.unsent:
            self._drop(client)
            return
        sent = client.socket.send(client.unsent)
        client.unsent = client.unsent[sent:]
        time.sleep(_REST)
        client.deadline = time.monotonic() + _PATIENCE

    def _lines(self, asked: bytes) -> Iterator[bytes]:
        try:
            question = json.loads(asked)
        except (ValueError, RecursionError):
            question = None
        known = isinstance(question, dict)
        lines = self._answer(question) if known else iter([{"error": "one line of JSON is wanted"}])
        for line in lines:
            yield json.dumps(line).encode() + b"\n"


def _reserve(directory: str) -> str:
    """The path of a new socket: a process may have several routers."""
    mark, path = object(), os.path.join(directory, str(os.getpid()))
    for name in itertools.chain([path], (f"{path}-{n}" for n in itertools.count(2))):
        if _taken.setdefault(name, mark) is mark:
            return name
    raise AssertionError


def _listen(path: str, group: str) -> socket.socket:
    """A socket that no one else could connect to before it had its mode and group."""
    directory, name = os.path.split(path)
    new = os.path.join(directory, f".{name}.new")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        listening.bind(new)
        os.chmod(new, 0o660)
        if group:
            _give(new, group)
        listening.setblocking(False)
        listening.listen(_MOST)
        os.rename(new, path)
    except BaseException:
        listening.close()
        raise
    return listening


def _give(path: str, group: str) -> None:
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, OSError) as error:
        why = "there is no such group" if isinstance(error, KeyError) else error.strerror
        log.warning(
            "VAN046: the status socket stays with the daemon's own group: it cannot be given to %s"
            " (status_group): %s; make the group, and add the daemon's user to it",
            group,
            why,
        )


def _remove_dead(directory: str) -> None:
    """Remove the sockets of processes that were killed: nobody listens there any more."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if not name.partition("-")[0].isdigit() or path in _taken:
            continue
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
