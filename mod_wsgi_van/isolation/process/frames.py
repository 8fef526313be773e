"""The router's end of a connection to a worker, in frames; what comes from a worker is checked.

The kinds of frame are listed in ``worker``, the other end, which is one file and needs no other.
"""

from __future__ import annotations

import math
import re
import socket
import time

from mod_wsgi_van.isolation.process.worker import HEADER, NAME, STATUS

# Received at once of a large response. More is slower: beyond 128 KB malloc maps fresh pages.
CHUNK_BYTES = 120 * 1024
SEND_BYTES = 128 * 1024  # sent at once; in between the time is looked at
AHEAD_BYTES = 64 * 1024  # received at once where a frame begins: mostly all of a response

# The longest payload of each kind. Data is never held as a whole, so that it has no limit; of a
# traceback a worker sends 64 K characters at most.
_LIMITS = {b"H": 0x40000, b"D": 0xFFFFFFFF, b"P": 4, b"F": 0, b"E": 0, b"X": 0x40000}

_VALUE = re.compile(r"[^\x00\r]*\Z")  # a line of latin-1

Headers = list[tuple[str, str]]


class Gone(Exception):
    """The worker closed the connection. ``unread``: it has not read all that was sent to it."""

    def __init__(self, *, unread: bool) -> None:
        super().__init__("the worker closed the connection")
        self.unread = unread


class Late(Exception):
    """The worker has not answered, or not read what was sent to it, within ``request_timeout``."""


class Garbage(Exception):
    """The worker does not follow the protocol; the text says in what."""


class Connection:
    """A socket whose other end a worker's thread serves. Used by one thread at a time.

    ``timeout``: seconds for what is sent, and for a frame's header or payload that is received as a
    whole. The kernel keeps the same time of a worker that does nothing at all.
    """

    __slots__ = ("_at", "_received", "_timeout", "socket")

    def __init__(self, end: socket.socket, timeout: float = 0) -> None:
        self.socket = end
        self._timeout = timeout or math.inf
        self._received = b""
        self._at = 0

    def send(self, head: bytes, data: bytes = b"") -> None:
        """Send what is already framed, ``data`` right after ``head``."""
        late_at = time.monotonic() + self._timeout
        first, view = head + data[:SEND_BYTES], memoryview(data)
        try:
            self.socket.sendall(first)
            for at in range(SEND_BYTES, len(data), SEND_BYTES):
                if time.monotonic() > late_at:
                    raise Late
                self.socket.sendall(view[at : at + SEND_BYTES])
        except BlockingIOError:
            raise Late from None
        except OSError:
            raise Gone(unread=True) from None

    def receive(self, *, ahead: bool = True) -> tuple[bytes, int]:
        """The kind and the length of the next frame, whose payload is then ``take``n.

        Without ``ahead`` the header alone is received: a large payload is not copied then.
        """
        if len(self._received) - self._at < 5:
            self._fill(5, AHEAD_BYTES if ahead else 0)
        kind: bytes
        length: int
        kind, length = HEADER.unpack_from(self._received, self._at)
        self._at += 5
        limit = _LIMITS.get(kind)
        # Empty data is never sent: without end it would keep request_timeout from passing.
        if limit is None or length > limit or (kind == b"D" and length == 0):
            raise Garbage(f"a frame of kind {kind!r} and {length} bytes")
        return kind, length

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes."""
        if len(self._received) - self._at < length:
            self._fill(length)
        end = self._at + length
        taken = self._received[self._at : end]
        self._at = end
        return taken

    def some(self, length: int) -> bytes:
        """At least one of the next ``length`` bytes, without waiting for more than there are."""
        if self._at == len(self._received):
            return self._receive(min(length, CHUNK_BYTES))
        return self.take(min(length, len(self._received) - self._at))

    def waiting(self) -> tuple[bytes, bool] | None:
        """The kind of the next frame and whether all of it has been received; None without one."""
        held = len(self._received) - self._at
        if held < 5:
            return None
        kind, length = HEADER.unpack_from(self._received, self._at)
        return kind, held - 5 >= length

    @property
    def quiet(self) -> bool:
        """Nothing has been received that was not asked for."""
        return self._at == len(self._received)

    def hang_up(self) -> None:
        """Let the worker notice that its response is not wanted; the socket stays open.

        Its next write fails, and when it has none left it is told to close its end: that it has,
        and so is done with the request, then shows as a hang-up.
        """
        try:
            self.socket.shutdown(socket.SHUT_RD)
            self.socket.send(HEADER.pack(b"Z", 0), socket.MSG_DONTWAIT)
        except OSError:
            pass  # it has closed its end already

    def _fill(self, length: int, ahead: int = AHEAD_BYTES) -> None:
        self._received = self._received[self._at :]
        self._at = 0
        late_at = time.monotonic() + self._timeout
        while (missing := length - len(self._received)) > 0:
            self._received += self._receive(max(missing, ahead))
            if time.monotonic() > late_at and len(self._received) < length:
                raise Late

    def _receive(self, size: int) -> bytes:
        try:
            part = self.socket.recv(size)
        except BlockingIOError:  # SO_RCVTIMEO
            raise Late from None
        except OSError:  # ECONNRESET: closed with unread bytes of ours
            raise Gone(unread=True) from None
        if not part:
            raise Gone(unread=False)
        return part


def parse_head(payload: bytes) -> tuple[str, Headers]:
    """Status and headers of a response; raises Garbage for what no server could send."""
    status, *rest = payload.decode("latin-1").split("\n")
    if len(rest) % 2 or not STATUS.match(status):
        raise Garbage("a head that is none")
    headers = list(zip(rest[::2], rest[1::2], strict=True))
    for name, value in headers:
        if not NAME.match(name) or not _VALUE.match(value):
            raise Garbage("a header that is none")
    return status, headers
