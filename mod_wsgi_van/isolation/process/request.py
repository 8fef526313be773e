"""A request on its way to a worker: its environ as a frame, and its body."""

from __future__ import annotations

import json
import logging
import struct
from typing import Any

from mod_wsgi_van.isolation.contract import Environ
from mod_wsgi_van.isolation.process.frames import HEADER, Connection, Garbage

log = logging.getLogger(__name__)

INLINE_BYTES = 64 * 1024  # a body up to this size travels with the environ
PULL_BYTES = 1024 * 1024  # at most for one pull; with less, turns of both processes cost more

# A worker has its own of these, or, as the release, no use for them.
_NOT_SENT = (
    "wsgi.version",
    "wsgi.input",
    "wsgi.input_terminated",
    "wsgi.errors",
    "wsgi.file_wrapper",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
    "mod_wsgi_van.release",
)


class Encoder:
    """Makes the frame of a request; remembers what of an environ cannot be sent."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._not_sent: tuple[str, ...] = _NOT_SENT

    def encode(self, environ: Environ, body: Body) -> bytes:
        """The frame of the request, with that of an inline body."""
        sent = environ.copy()
        for key in self._not_sent:
            sent.pop(key, None)
        message = {"body": body.mode, "length": body.left, "environ": sent}
        try:
            text = json.dumps(message)
        except (TypeError, ValueError):
            message["environ"] = self._sendable(sent)
            text = json.dumps(message)
        frame = HEADER.pack(b"Q", len(text)) + text.encode("ascii")
        if body.mode == "inline":
            return b"".join((frame, HEADER.pack(b"B", len(body.data)), body.data))
        return frame

    def _sendable(self, environ: Environ) -> Environ:
        kept = {key: value for key, value in environ.items() if _is_sendable(value)}
        left_out = sorted(map(str, environ.keys() - kept.keys()))
        new = [key for key in left_out if key not in self._not_sent]
        if new:
            self._not_sent += tuple(new)
            log.info(
                "%s: VAN035: its worker is not sent what JSON cannot say of environ: %s",
                self._host,
                ", ".join(new),
            )
        return kept


def _is_sendable(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_sendable, value))
    return value is None or isinstance(value, (str, int, float))


class Body:
    """The body of a request: none, inline, or pulled by the worker as the application reads it."""

    __slots__ = ("_stream", "data", "left", "mode", "pulled")

    def __init__(self, environ: Environ) -> None:
        """May wait for the client, and raise what the server's input raises."""
        self._stream: Any = environ.get("wsgi.input")
        self.data = b""
        self.left: int | None = 0
        self.pulled = False  # a part of it is gone: the request cannot be sent again
        self.mode = "none"
        length = _length(environ)
        if length == 0:
            return
        self.left = length
        if length is None or length > INLINE_BYTES or "HTTP_EXPECT" in environ:
            self.mode = "pull"  # also so that 100 Continue is sent when the application reads
        else:
            self.mode = "inline"
            self.data = self._read_all(length)

    def _read_all(self, length: int) -> bytes:
        data: bytes = self._stream.read(length)
        while len(data) < length:
            part = self._stream.read(length - len(data))
            if not part:
                break
            data += part
        return data

    def answer(self, connection: Connection, payload: bytes) -> None:
        """Send the worker the next piece; an empty one is the end."""
        if self.mode != "pull" or len(payload) != 4:
            raise Garbage("a pull of a body that it has")
        (size,) = struct.unpack("!I", payload)
        size = min(size, PULL_BYTES, PULL_BYTES if self.left is None else self.left)
        self.pulled = True
        try:
            data: bytes = self._stream.read(size) if size else b""
        except Exception as error:  # the client went away: the application's read() raises as here
            text = str(error).encode("utf-8", "replace")[:1024]
            connection.send(HEADER.pack(b"A", len(text)), text)
            return
        if self.left is not None:
            self.left -= len(data)
        connection.send(HEADER.pack(b"B", len(data)), data)


def _length(environ: Environ) -> int | None:
    """The length of the body; None when only its end will tell."""
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return None
    text = environ.get("CONTENT_LENGTH")
    if text:
        return int(text) if text.isascii() and text.isdigit() else 0
    return None if environ.get("wsgi.input_terminated") else 0
