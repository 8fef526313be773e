"""The WSGI application that the server calls: sends a request to a worker, passes its response on.

Runs in the server's threads. What goes wrong with a worker ends here, as the answer to one client
(502 it broke, 503 come again, 504 too late) and a line in the log; what the application itself
raises is raised here too, for the server to handle as without a router.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Iterator
from typing import cast

from mod_wsgi_van import answers
from mod_wsgi_van.errors import VanError
from mod_wsgi_van.isolation.process import frames
from mod_wsgi_van.isolation.process.frames import Connection, Garbage, Gone, Headers, Late
from mod_wsgi_van.isolation.process.handle import Worker
from mod_wsgi_van.isolation.process.pool import NoWorker, Pool
from mod_wsgi_van.isolation.process.request import Body, Encoder
from mod_wsgi_van.isolation.process.worker import HEADER
from mod_wsgi_van.lines import escape
from mod_wsgi_van.wsgi import Environ, Response, StartResponse

log = logging.getLogger(__name__)

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110, 9.2.1
UNDELIVERED_TRIES = 4
LARGE_BYTES = 16 * 1024


class ApplicationRaised(Exception):
    """The application raised in its worker; the text is the traceback there."""


class ResponseBroken(VanError):
    """The worker failed in the middle of a response, whose rest the client will not get."""

    code = "VAN037"


class ProcessInstance:
    """A release in its workers."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.entry = pool.entry
        self._encoder = Encoder(pool.host)

    def retire(self) -> bool:
        """Returns at once; the workers end when they have answered what they were asked."""
        self.pool.close()
        return True

    def ended(self, timeout: float) -> bool:
        return self.pool.ended(timeout)

    def application(self, environ: Environ, start_response: StartResponse) -> Response:
        body = Body(environ)  # before a worker is borrowed: the client may be slow
        request = self._encoder.encode(environ, body)
        delivered = False
        for _ in range(UNDELIVERED_TRIES):
            try:
                worker, connection = self.pool.borrow()
            except NoWorker as error:
                status, again = "503 Service Unavailable", error.retry_after
                return answers.short(environ, start_response, status, again)
            exchange = Exchange(self.pool, worker, connection, environ, body)
            try:
                status, headers = exchange.begin(request)
            except Gone as gone:
                if body.pulled or not (gone.unread or _may_repeat(environ, delivered)):
                    break
                delivered = delivered or not gone.unread
            except Garbage:
                return answers.short(environ, start_response, "502 Bad Gateway")
            except Late:
                return answers.short(environ, start_response, "504 Gateway Timeout", 1)
            else:
                return exchange.finish(start_response, status, headers)
        request_line = escape(f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}")
        text = "%s: VAN036: its worker ended before it answered, the client gets 502: %s"
        log.error(text, self.pool.host, request_line)
        return answers.short(environ, start_response, "502 Bad Gateway")


def _may_repeat(environ: Environ, delivered: bool) -> bool:
    return not delivered and environ.get("REQUEST_METHOD") in SAFE_METHODS


class Exchange:
    """One request at one worker, and the iterable of its response.

    However it ends, the worker is given back exactly once.
    """

    def __init__(
        self, pool: Pool, worker: Worker, connection: Connection, environ: Environ, body: Body
    ) -> None:
        self._pool = pool
        self._worker = worker
        self._connection = connection
        self._environ = environ  # the release is in use for as long as its environ lives
        self._body = body
        self._blocks: deque[bytes] = deque()  # received before the server asked for them
        self._left = 0  # of the data frame that is being received
        self._large = False  # it was long: so will the next be
        self._file: io.FileIO | None = None
        self._over = False

    def begin(self, request: bytes) -> tuple[str, Headers]:
        """Send the request and wait for the head of the response."""
        try:
            self._connection.send(request)
            kind, length = self._next_frame()
            if kind == b"X":
                self._end(kind, length)
            if kind != b"H":
                raise Garbage(f"a frame of kind {kind!r} in place of the head")
            head = frames.parse_head(self._connection.take(length))
            self._take_received()
            return head
        except BaseException as error:
            self._fail(error)
            raise

    def finish(self, start_response: StartResponse, status: str, headers: Headers) -> Response:
        """Answer with what has come already when that is all, else with an iterable."""
        try:
            start_response(status, headers)
        except BaseException as error:
            self._fail(error)
            raise
        if self._file is not None and (wrapper := self._environ.get("wsgi.file_wrapper")):
            file, self._file = self._file, None
            return cast(Response, wrapper(file, frames.CHUNK_BYTES))
        if self._over and self._file is None:
            return list(self._blocks)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._blocks:
            return self._blocks.popleft()
        try:
            data = (b"" if self._over else self._receive_data()) or self._read_file()
        except (Gone, Late, Garbage) as error:
            self._fail(error)
            raise ResponseBroken(f"{self._pool.host}: the response breaks off: {error}") from error
        except BaseException as error:
            self._fail(error)
            raise
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """The server has enough: the application's close() runs when the worker notices."""
        self._forget_file()
        if not self._over:
            self._over = True
            self._pool.abandon(self._worker, self._connection)

    def __del__(self) -> None:  # for servers that forget close()
        self.close()

    def _take_received(self) -> None:
        """Take what is here already; waits for nothing but the descriptor of a file."""
        while waiting := self._connection.waiting():
            kind, complete = waiting
            if kind == b"P" or (kind in (b"X", b"F") and self._blocks):
                return  # the server gets the blocks before it first
            kind, length = self._connection.receive()
            if kind != b"D":
                self._end(kind, length)
                return
            if not complete:
                self._left = length
                return
            self._blocks.append(self._connection.take(length))

    def _receive_data(self) -> bytes:
        """The next piece of data, b"" at the end of the response."""
        if not self._left:
            kind, length = self._next_frame(ahead=not self._large)
            if kind != b"D":
                self._end(kind, length)
                return b""
            self._left = length
            self._large = length > LARGE_BYTES
        data = self._connection.some(self._left)
        self._left -= len(data)
        return data

    def _next_frame(self, *, ahead: bool = True) -> tuple[bytes, int]:
        """The next frame that is about the response; pulls of the body are answered."""
        while True:
            kind, length = self._connection.receive(ahead=ahead)
            if kind != b"P":
                return kind, length
            self._body.answer(self._connection, self._connection.take(length))

    def _end(self, kind: bytes, length: int) -> None:
        """Take a frame that is not data: the response ends with it."""
        if kind == b"F" and self._file is None:
            self._file = _receive_file(self._connection)
            self._end(*self._next_frame())
            return
        text = self._connection.take(length) if kind == b"X" else b""
        if kind not in (b"E", b"X") or not self._connection.quiet:
            raise Garbage(f"a frame of kind {kind!r}, or more than the end")
        self._over = True
        self._pool.give_back(self._worker, self._connection)
        if kind == b"X":
            self._forget_file()
            said = text.decode(errors="replace")
            self._pool.raised(self._worker, said)
            where = f"in the worker of {self._pool.host}:\n"
            raise ApplicationRaised(where + said)

    def _read_file(self) -> bytes:
        data = self._file.read(frames.CHUNK_BYTES) if self._file is not None else b""
        if not data:
            self._forget_file()
        return data

    def _forget_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fail(self, error: BaseException) -> None:
        """Give the worker back after ``error``, in the state that it tells of."""
        self._forget_file()
        if self._over:
            return
        self._over = True
        if isinstance(error, Gone):
            self._pool.lost(self._worker)
        elif isinstance(error, Garbage):
            self._pool.garbled(self._worker, str(error))
        elif isinstance(error, Late):
            self._pool.late(self._worker)
        if isinstance(error, (Gone, Garbage)):
            self._connection.socket.close()
            self._pool.give_back(self._worker)
        else:
            self._pool.abandon(self._worker, self._connection)


def _receive_file(connection: Connection) -> io.FileIO:
    """The file whose descriptor a worker sends; raises Garbage unless it is a regular file."""
    try:
        connection.send(HEADER.pack(b"S", 0))
        # Not recv_fds: Python 3.11's forgets the flags, and another site's worker that is just
        # being started could inherit the descriptor.
        size, flags = socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
        data, rights, _, _ = connection.socket.recvmsg(1, size, flags)
    except BlockingIOError:
        raise Late from None
    except (Gone, OSError):
        raise Gone(unread=False) from None
    if not data:
        raise Gone(unread=False)
    fds = [fd for _, _, bytes_ in rights for (fd,) in struct.iter_unpack("i", bytes_)]
    if len(fds) == 1 and stat.S_ISREG(os.fstat(fds[0]).st_mode):
        try:
            return io.FileIO(fds[0], "rb")
        except OSError:
            pass
    for fd in fds:
        os.close(fd)
    raise Garbage("no readable file in place of one")
