"""The worker: serves the application of one vhost to its router, in the vhost's own Python (3.8+).

Run as a script by ``bin/python`` of the environment; needs the standard library alone and imports
nothing of mod_wsgi_van. It listens nowhere. All it has are two descriptors from the router: the
*control* socket, over which it is told what to load and receives one socket for each concurrent
request, and the *lifeline*, a pipe on which nothing is ever written.

On every socket travel frames: one byte of kind, four of length, the payload.

    router -> worker                        worker -> router
    L  what to load (JSON), on control      +  loaded, on control
    Q  a request: its environ (JSON)        !  not loaded: why (JSON), on control
    B  body: inline, or answer to a pull    H  status and headers (JSON), with the first data
    A  the body cannot be read, why         D  data of the response
    S  send the descriptor                  P  pull: asks for at most so many bytes of the body
    Z  no more requests here                F  the rest of the response is a file; S comes back
                                            E  end of the response
                                            X  the application raised: traceback (text)

One thread serves one socket, one request after the other. There are no locks: a socket belongs to
its thread, and the main thread does nothing but wait on control.
"""

from __future__ import annotations

import _thread
import array
import fcntl
import functools
import io
import json
import os
import re
import resource
import signal
import site
import socket
import stat
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

HEADER = struct.Struct("!cI")
PULL_BYTES = 256 * 1024
TEXT_BYTES = 64 * 1024  # of a traceback; the router takes no longer one
STATUS = re.compile(r"[1-9][0-9][0-9] [\t\x20-\x7e\x80-\xff]*\Z")
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
VALUE = re.compile(r"[^\x00\r\n\u0100-\U0010ffff]*\Z")

# Taken before the application is imported: gevent's patch_all would put green ones in their place,
# and nothing would run while the main thread waits on control.
start_thread = _thread.start_new_thread
Socket = socket.socket


class RouterGone(OSError):
    """The router closed the socket: its client went away, or it did itself."""


class BadObject(Exception):
    """The module has no such object, or it cannot be called."""


class Connection:
    """One socket to the router, in frames."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self.socket = Socket(fileno=fd)
        self._received = b""

    def receive(self) -> tuple[bytes, bytes]:
        """The kind and the payload of the next frame; raises RouterGone at the end."""
        kind, length = HEADER.unpack(self._take(HEADER.size))
        return kind, self._take(length)

    def _take(self, size: int) -> bytes:
        if len(self._received) < size:
            parts, missing = [self._received], size - len(self._received)
            while missing > 0:
                part = self._receive_some(max(missing, 65536))
                parts.append(part)
                missing -= len(part)
            self._received = b"".join(parts)
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def _receive_some(self, size: int) -> bytes:
        try:
            part = self.socket.recv(size)
        except OSError as error:
            raise RouterGone(str(error)) from None
        if not part:
            raise RouterGone("the router closed the connection")
        return part

    def send(self, *frames: tuple[bytes, bytes]) -> None:
        parts: list[bytes] = []
        for kind, payload in frames:
            parts += (HEADER.pack(kind, len(payload)), payload)
        try:
            if sum(map(len, parts)) <= 32768:
                self.socket.sendall(b"".join(parts))
            else:
                self._send_parts(parts)
        except OSError as error:
            raise RouterGone(str(error)) from None

    def _send_parts(self, parts: list[bytes]) -> None:
        """Without copying what is large; in groups, for sendmsg takes at most 1,024 parts."""
        for first in range(0, len(parts), 512):
            group = parts[first : first + 512]
            sent = self.socket.sendmsg(group)
            for part in group:
                if sent < len(part):
                    self.socket.sendall(memoryview(part)[sent:])
                sent = max(0, sent - len(part))

    def send_descriptor(self, fd: int) -> None:
        rights = array.array("i", [fd])
        try:
            self.socket.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError as error:
            raise RouterGone(str(error)) from None


class PulledInput(io.RawIOBase):
    """A request body that stays at the router until the application reads it."""

    def __init__(self, connection: Connection, length: int | None) -> None:
        self._connection = connection
        self._left = length
        self.over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), PULL_BYTES if self._left is None else min(PULL_BYTES, self._left))
        if size == 0:
            return 0
        if self.over:
            raise OSError("wsgi.input was read after the request was over")
        self._connection.send((b"P", struct.pack("!I", size)))
        kind, data = self._connection.receive()
        if kind == b"A":
            raise OSError(data.decode("utf-8", "replace"))
        if kind != b"B":
            raise RouterGone("the client went away")
        buffer[: len(data)] = data
        if not data:
            self._left = 0
        elif self._left is not None:
            self._left -= len(data)
        return len(data)


class FileWrapper:
    """wsgi.file_wrapper."""

    def __init__(self, filelike: Any, block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration

    def descriptor(self) -> int | None:
        """The descriptor whose bytes, from its position on, are those that read() would give."""
        file = self.filelike
        if type(file) not in (io.BufferedReader, io.BufferedRandom, io.FileIO):
            return None  # also what has a fileno() of other bytes, as gzip.GzipFile
        if type(getattr(file, "raw", file)) is not io.FileIO:
            return None
        fd: int = file.fileno()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        if type(file) is io.BufferedRandom:
            file.flush()
        os.lseek(fd, file.tell(), os.SEEK_SET)
        return fd


class Exchange:
    """One request and its response: the server's side of PEP 3333."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._head: bytes | None = None
        self._sent = False

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
        if exc_info:
            try:
                if self._sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._head is not None:
            raise AssertionError("start_response was called twice without exc_info")
        check_head(status, headers)
        self._head = json.dumps([status, headers]).encode()
        return self.write

    def write(self, data: bytes) -> None:
        """Send one block; the headers go with the first that is not empty."""
        if not isinstance(data, bytes):
            raise TypeError(f"the response must be of bytes, not {type(data).__name__}")
        if data:
            self._connection.send(*self._unsent_head(), (b"D", data))

    def respond(self, application: Callable[..., Any], environ: dict[str, Any]) -> None:
        response = application(environ, self.start_response)
        if type(response) in (list, tuple):
            self._send_blocks(response)
            return
        try:
            fd = response.descriptor() if type(response) is FileWrapper else None
            if fd is None:
                for data in response:
                    self.write(data)
            else:
                self._send_file(fd)
            if not self._sent:
                self._connection.send(*self._unsent_head())
        finally:
            if hasattr(response, "close"):
                response.close()
        self._connection.send((b"E", b""))

    def _send_blocks(self, blocks: Any) -> None:
        for data in blocks:
            if not isinstance(data, bytes):
                raise TypeError(f"the response must be of bytes, not {type(data).__name__}")
        frames = [(b"D", data) for data in blocks if data]
        self._connection.send(*self._unsent_head(), *frames, (b"E", b""))

    def _send_file(self, fd: int) -> None:
        self._connection.send(*self._unsent_head(), (b"F", b""))
        kind, _ = self._connection.receive()
        if kind != b"S":
            raise RouterGone("the router does not follow the protocol")
        self._connection.send_descriptor(fd)

    def _unsent_head(self) -> list[tuple[bytes, bytes]]:
        if self._sent:
            return []
        if self._head is None:
            raise AssertionError("the application did not call start_response")
        self._sent = True
        return [(b"H", self._head)]


def check_head(status: Any, headers: Any) -> None:
    """Tell the application, not the router, about a head that no server could send."""
    if type(status) is not str or not STATUS.match(status):
        raise ValueError(f"not a status line: {status!r}")
    if type(headers) is not list:
        raise TypeError("the headers must be a list")
    for name, value in headers:
        if type(name) is not str or not NAME.match(name):
            raise ValueError(f"not a header name: {name!r}")
        if type(value) is not str or not VALUE.match(value):
            raise ValueError(f"not a value of the header {name}: {value!r}")


class Worker:
    """The application with the sockets that it is served on."""

    def __init__(self, control: Connection, order: dict[str, Any]) -> None:
        self.control = control
        self.order = order
        self.connections = {control}
        self.constants = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.input_terminated": True,  # every input below ends by itself
            "wsgi.multithread": order["threads"] > 1,
            "wsgi.multiprocess": order["processes"] > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }
        # A child that the application forks must not hold the router's sockets open, or answer.
        os.register_at_fork(after_in_child=self.close)

    def close(self) -> None:
        for connection in self.connections:
            connection.socket.close()

    def load(self) -> Callable[..., Any]:
        order = self.order
        sys.argv = ["mod_wsgi_van"]
        sys.path.insert(0, order["directory"])
        known = {os.path.realpath(path) for path in sys.path}
        for path in order["site_packages"]:
            if path not in known:
                site.addsitedir(path)
        __import__(order["module"])  # unlike import_module it leaves no frames in a traceback
        module = sys.modules[order["module"]]
        where = f"{order['object']!r} of {getattr(module, '__file__', None) or order['module']}"
        try:
            application = functools.reduce(getattr, order["object"].split("."), module)
        except AttributeError:
            raise BadObject(f"there is no {where}") from None
        if not callable(application):
            raise BadObject(f"{where} is not callable")
        return application

    def serve(self, application: Callable[..., Any]) -> None:
        """Take sockets from the router until it says quit; ends the process when it is gone."""
        size = socket.CMSG_SPACE(array.array("i").itemsize)
        while True:
            data, ancillary, _, _ = self.control.socket.recvmsg(1, size, socket.MSG_CMSG_CLOEXEC)
            if data == b"q":
                return
            if not data:
                os._exit(0)
            for _, _, rights in ancillary:  # none where this process has no descriptors left
                connection = Connection(array.array("i", rights)[0])
                try:
                    start_thread(self._serve_connection, (application, connection))
                except RuntimeError:  # no more threads: the router sees it closed and goes on
                    connection.socket.close()

    def _serve_connection(self, application: Callable[..., Any], connection: Connection) -> None:
        self.connections.add(connection)
        try:
            while True:
                kind, payload = connection.receive()
                if kind != b"Q":
                    return
                self._serve_request(application, connection, json.loads(payload))
        except RouterGone:
            pass
        finally:
            self.connections.discard(connection)
            connection.socket.close()

    def _serve_request(
        self, application: Callable[..., Any], connection: Connection, request: dict[str, Any]
    ) -> None:
        environ = request["environ"]
        for key, value in environ.items():
            if type(value) is list:
                environ[key] = tuple(value)  # JSON has no tuples; a list is never sent
        environ.update(self.constants)
        pulled = None
        if request["body"] == "pull":
            pulled = PulledInput(connection, request["length"])
            environ["wsgi.input"] = io.BufferedReader(pulled, 65536)
        else:
            body = connection.receive()[1] if request["body"] == "inline" else b""
            environ["wsgi.input"] = io.BytesIO(body)
        try:
            Exchange(connection).respond(application, environ)
        except RouterGone:
            raise
        except BaseException as error:  # also sys.exit(): it must not end the connection
            connection.send((b"X", describe(error)[-TEXT_BYTES:].encode("utf-8", "replace")))
        finally:
            if pulled is not None:
                pulled.over = True


def describe(error: BaseException) -> str:
    """The traceback as text, without the frames of this file at its beginning."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename == __file__:
        step = step.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, step))
    except Exception:  # an exception whose own methods raise
        return f"{type(error).__name__}\n"


def files_of(error: BaseException | None) -> list[str]:
    """The files that a traceback names, those of the exceptions that led to it too."""
    files: dict[str, None] = {}
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            files[frame.f_code.co_filename] = None
        if isinstance(error, SyntaxError) and error.filename:
            files[error.filename] = None
        error = error.__cause__ or error.__context__
    return [name for name in files if os.path.isabs(name) and name != __file__]


def failure(error: BaseException) -> bytes:
    """Why nothing was loaded, for the router's log."""
    if isinstance(error, BadObject):
        reason = {"kind": "object", "message": str(error), "details": "", "files": []}
    else:
        text = traceback.format_exception_only(type(error), error)[-1].strip()
        details = describe(error)[-TEXT_BYTES:]
        reason = {"kind": "import", "message": text, "details": details, "files": files_of(error)}
    return json.dumps(reason).encode()


def tie_to_router(lifeline: int) -> None:
    """Have the kernel kill this process group when the router is gone, in whatever way.

    The end of the control socket says it too, but only to a main thread that gets to run: not
    while an extension module holds the GIL. PR_SET_PDEATHSIG would kill when the THREAD ends that
    started this process.
    """
    os.set_inheritable(lifeline, False)
    os.register_at_fork(after_in_child=lambda: os.close(lifeline))
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def prepare(order: dict[str, Any]) -> None:
    # A thread of Apache that starts a process passes its blocked signals on.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    if order["memory"]:
        resource.setrlimit(resource.RLIMIT_DATA, (order["memory"], order["memory"]))


def main() -> None:
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    tie_to_router(int(sys.argv[2]))
    control = Connection(int(sys.argv[1]))
    order = json.loads(control.receive()[1])
    prepare(order)
    worker = Worker(control, order)
    try:
        application = worker.load()
    except BaseException as error:  # SystemExit too; the router says what it means
        control.send((b"!", failure(error)))
        return
    control.send((b"+", b""))
    worker.serve(application)


if __name__ == "__main__":
    main()
