"""A request on its way to a worker: its environ as a frame, and its body."""

from __future__ import annotations

import contextlib
import logging
import marshal
import struct
from typing import Any, cast

from mod_wsgi_van.isolation.process.frames import Connection, Garbage
from mod_wsgi_van.isolation.process.worker import HEADER, PULL_BYTES
from mod_wsgi_van.lines import escape
from mod_wsgi_van.wsgi import Environ

log = logging.getLogger(__name__)

INLINE_BYTES = 64 * 1024  # a body up to this size travels with the environ

# All Pythons from 3.8 on read it alike. JSON took 9 us more of a request's time.
MARSHAL_VERSION = 2
_SCALARS = frozenset({str, bytes, int, bool, float, type(None)})
_SENDABLE = _SCALARS | {tuple}
_EXACT: Any = ((str, str.__str__), (int, int.__int__), (float, float.__float__))

# A worker has its own of these, or, as the release, no use for them.
_NOT_SENT = (
    *("wsgi.version", "wsgi.input", "wsgi.input_terminated", "wsgi.errors", "wsgi.file_wrapper"),
    *("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "mod_wsgi_van.release"),
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
        payload = self._payload(sent, body)
        frame = HEADER.pack(b"Q", len(payload)) + payload
        if body.mode == "inline":
            return b"".join((frame, HEADER.pack(b"B", len(body.data)), body.data))
        return frame

    def _payload(self, environ: Environ, body: Body) -> bytes:
        if _SENDABLE.issuperset(map(type, environ.values())):
            try:
                return marshal.dumps((body.mode, body.left, environ), MARSHAL_VERSION)
            except ValueError:  # a key, or in a tuple
                pass
        return marshal.dumps((body.mode, body.left, self._sendable(environ)), MARSHAL_VERSION)

    def _sendable(self, environ: Environ) -> Environ:
        kept: Environ = {}
        for key, value in environ.items():
            with contextlib.suppress(TypeError):
                kept[_plain(key)] = _plain(value)
        left_out = sorted(map(str, environ.keys() - kept.keys()))
        new = [key for key in left_out if key not in self._not_sent]
        if new:
            self._not_sent += tuple(new)
            text = "%s: VAN035: its worker is not sent what it cannot hold of environ: %s"
            log.info(text, self._host, escape(", ".join(new)))
        return kept


def _plain(value: Any) -> Any:
    """``value`` in the very types that can be sent; raises TypeError for what is none of them."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    for kind, exact in _EXACT:
        if isinstance(value, kind):
            return exact(value)
    raise TypeError


class Body:
    """The body of a request: none, inline, or pulled by the worker as the application reads it.

    ``data`` is what was read of it before the worker was asked for it.
    """

    __slots__ = ("_error", "_stream", "data", "left", "mode", "pulled")

    def __init__(self, environ: Environ) -> None:
        """May wait for the client, and raise what the server's input raises."""
        self._stream = cast(Any, environ.get("wsgi.input"))
        self._error: Exception | None = None
        self.data = b""
        self.left = _length(environ)
        self.pulled = False  # a part of it is gone: the request cannot be sent again
        if self.left == 0:
            self.mode = "none"
        elif self.left is None or self.left > INLINE_BYTES or "HTTP_EXPECT" in environ:
            self.mode = "pull"  # also so that 100 Continue is sent when the application reads
        else:
            self.mode = "inline"
        if self.left and "HTTP_EXPECT" not in environ:
            # Of a longer one the beginning as well: until a slow client has sent so much, no
            # thread of a worker has to wait.
            try:
                while part := self._stream.read(min(self.left, INLINE_BYTES) - len(self.data)):
                    self.data += part
            except Exception as error:
                if self.mode == "inline":
                    raise
                self._error = error

    def answer(self, connection: Connection, payload: bytes) -> None:
        """Send the worker the next piece; an empty one is the end."""
        if self.mode != "pull" or len(payload) != 4:
            raise Garbage("a pull of a body that it has or has had")
        (size,) = struct.unpack("!I", payload)
        size = min(size, PULL_BYTES, PULL_BYTES if self.left is None else self.left)
        self.pulled = True
        kind, begun = b"B", self.data[:size]
        self.data = self.data[size:]
        size -= len(begun)
        try:
            if self._error and size:
                raise self._error
            data: bytes = self._stream.read(size) if size else b""
        except Exception as error:  # the client went away: the application's read() raises as here
            kind, begun, data = b"A", b"", str(error).encode("utf-8", "replace")[:1024]
        length = len(begun) + len(data)
        if kind == b"A" or not length:
            self.mode = "none"  # whoever pulls for ever keeps request_timeout from passing
        elif self.left is not None:
            self.left -= length
        connection.send(HEADER.pack(kind, length) + begun, data)


def _length(environ: Environ) -> int | None:
    """The length of the body; None when only its end will tell."""
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return None
    text = environ.get("CONTENT_LENGTH")
    if text:
        return int(text) if text.isascii() and text.isdigit() else 0
    return None if environ.get("wsgi.input_terminated") else 0
