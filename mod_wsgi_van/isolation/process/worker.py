"""The worker: serves the application of one site to its router, in the site's own Python (3.8+).

Run as a script by ``bin/python`` of the environment; needs the standard library alone. It listens
nowhere: all it has are two descriptors from the router, the *control* socket, over which it is told
what to load and receives one socket for each concurrent request, and the *lifeline*, a pipe on
which nothing is ever written.

On every socket travel frames: one byte of kind, four of length, the payload. To the worker:

    L  what to load (JSON)  Q  a request (marshal)  B  body: inline, or what was pulled of it
    A  the body cannot be read, why  S  send the descriptor  Z  nobody wants the rest

and back, the first two on control:

    +  loaded: the object's name  !  not loaded: why (JSON); later, the limit that was reached
    H  status, names and values of headers: a line each
    D  data of the response  F  its rest is a file: S is to come  P  pull: so many bytes of the body
    E  end of the response  X  the application raised: traceback (text)

The application is imported while there is one thread. After that, one thread serves one socket, one
request after the other; the main thread does nothing but wait on control. There are no locks: a
socket belongs to its thread. Where the application has made threads green, as gevent and eventlet
do, all of these are greenlets: their locks do not work between threads of the system.
"""

from __future__ import annotations

import _thread
import array
import fcntl
import functools
import importlib.machinery
import io
import json
import marshal
import os
import queue
import re
import select
import signal
import site
import socket
import stat
import struct
import sys
import threading
import time
import traceback
import types
import wsgiref.util
from collections.abc import Callable, Iterator
from typing import Any

HEADER = struct.Struct("!cI")
PULL_BYTES = 1024 * 1024  # of a body at once: fewer are slower, each is a turn of both processes
YOUNG = 2.0  # seconds: whole seconds of mtime, and file systems that keep even ones only (FAT)
INSTALLED = ("/site-packages/", "/dist-packages/", os.path.dirname(os.__file__) + os.sep)
TEXT_SIZE = 64 * 1024  # characters of a traceback; the router takes no longer one
STATUS = re.compile(r"[1-9][0-9][0-9] [\t\x20-\x7e\x80-\xff]*\Z")
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
VALUE = re.compile(r"[^\x00\r\n\u0100-\U0010ffff]*\Z")

# As they are before an application's import of a tracer, or of gevent, puts others in their place.
ASGI = ("scope", "receive", "send")
CO_COROUTINE = 0x80 | 0x200  # also of an asynchronous generator; inspect takes long to import

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38  # prctl(2)

Socket = socket.socket
Thread = threading.Thread
start_thread = Thread.start
start_new_thread = _thread.start_new_thread


class RouterGone(OSError):
    """The router closed the socket: its client went away, or it did itself."""


class NoApplication(Exception):
    """The module has no such object, or it cannot be called: why, and the module's file."""


class Channel:
    """One socket to the router, in frames."""

    File = io.FileIO

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self.socket = Socket(fileno=fd)
        self._reader = io.BufferedReader(self.File(fd, "rb", closefd=False), 65536)

    def receive(self) -> tuple[bytes, bytes]:
        """The kind and the payload of the next frame; raises RouterGone at the end."""
        try:
            kind, length = HEADER.unpack(self._reader.read(HEADER.size))
            payload = self._reader.read(length) if length else b""
        except (OSError, struct.error) as error:
            raise RouterGone(str(error)) from None
        if len(payload) < length:
            raise RouterGone("the router closed the connection")
        return kind, payload

    def send(self, *frames: tuple[bytes, bytes]) -> None:
        parts: list[bytes] = []
        for kind, payload in frames:
            parts += (HEADER.pack(kind, len(payload)), payload)
        size = sum(map(len, parts))
        try:
            if size <= 32768 or len(parts) > 1024:  # as many as sendmsg takes
                self.socket.sendall(b"".join(parts))
            elif (sent := self.socket.sendmsg(parts)) < size:
                self.socket.sendall(b"".join(parts)[sent:])
        except OSError as error:
            raise RouterGone(str(error)) from None


class GreenFile(io.FileIO):
    """Lets other greenlets go on until there is something to read."""

    def readinto(self, buffer: Any) -> Any:
        select.select([self], [], [])
        return super().readinto(buffer)


class GreenChannel(Channel):
    """A channel for a greenlet."""

    File = GreenFile

    def send(self, *frames: tuple[bytes, bytes]) -> None:
        parts = [HEADER.pack(kind, len(payload)) + payload for kind, payload in frames]
        left = memoryview(b"".join(parts))
        while left:
            try:
                select.select([], [self.socket], [])
                left = left[self.socket.send(left, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                pass
            except (OSError, ValueError) as error:  # ValueError: closed, in a child of this process
                raise RouterGone(str(error)) from None


class PulledInput(io.RawIOBase):
    """A request body that stays at the router until the application reads it."""

    def __init__(self, connection: Channel, length: int | None) -> None:
        self._connection = connection
        self._left = sys.maxsize if length is None else length
        self._error: str | None = None

    def readable(self) -> bool:
        return True

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._pull(PULL_BYTES), b""))

    def readinto(self, buffer: Any) -> int:
        data = self._pull(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _pull(self, size: int) -> bytes:
        size = min(size, PULL_BYTES, self._left)
        if self._error is not None:  # to pull again would be garbage to the router
            raise OSError(self._error)
        if size == 0:
            return b""
        self._connection.send((b"P", struct.pack("!I", size)))
        kind, data = self._connection.receive()
        if kind == b"A":
            self._error = data.decode("utf-8", "replace")
            raise OSError(self._error)
        if kind != b"B":
            raise RouterGone("the client went away")
        self._left = self._left - len(data) if data else 0
        return data


class SentFile(wsgiref.util.FileWrapper):
    """wsgi.file_wrapper."""

    def descriptor(self) -> int | None:
        """The descriptor whose bytes, from its position on, are those that read() would give."""
        text: Any = self.filelike
        file = text.buffer if type(text) is io.TextIOWrapper else text
        plain = type(file) in (io.BufferedReader, io.BufferedRandom, io.FileIO)
        if not plain or type(getattr(file, "raw", file)) is not io.FileIO:
            return None  # also what has a fileno() of other bytes, as gzip.GzipFile
        fd: int = file.fileno()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        if type(file) is io.BufferedRandom:
            text.flush()
        os.lseek(fd, text.tell(), os.SEEK_SET)
        return fd


class Handler:
    """One request and its response: the server's side of PEP 3333."""

    def __init__(self, connection: Channel) -> None:
        self._connection = connection
        self._head: bytes | None = None
        self._sent = False

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
        """Raises what mod_wsgi does, and allows what it does."""
        if not isinstance(headers, list):
            raise TypeError(f"the headers must be a list, not {type(headers).__name__}")
        if exc_info is not None and not isinstance(exc_info, tuple):
            raise RuntimeError("exc_info must be a tuple or None")
        if self._sent:
            if exc_info is None:
                raise RuntimeError("start_response was called again without exc_info")
            _, error, traceback = exc_info
            raise error.with_traceback(traceback)
        self._head = make_head(status, headers)
        return self.write

    def write(self, data: bytes) -> None:
        """Send one block; the headers go with the first that is not empty."""
        if require_bytes(data):
            self._connection.send(*self._unsent_head(), (b"D", data))

    def respond(self, application: Callable[..., Any], environ: dict[str, Any]) -> None:
        response = application(environ, self.start_response)
        if type(response) in (list, tuple):
            blocks = [(b"D", data) for data in response if require_bytes(data)]
            self._connection.send(*self._unsent_head(), *blocks, (b"E", b""))
            return
        try:
            fd = response.descriptor() if type(response) is SentFile else None
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

    def _send_file(self, fd: int) -> None:
        self._connection.send(*self._unsent_head(), (b"F", b""))
        kind, _ = self._connection.receive()
        if kind != b"S":
            raise RouterGone("the router does not follow the protocol")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self._connection.socket.sendmsg([b"."], rights)

    def _unsent_head(self) -> list[tuple[bytes, bytes]]:
        if self._sent:
            return []
        if self._head is None:
            raise RuntimeError("the application did not call start_response")
        self._sent = True
        return [(b"H", self._head)]


def require_bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    raise TypeError(f"the response must be of bytes, not {type(data).__name__}")


def make_head(status: Any, headers: Any) -> bytes:
    """Tells the application, not the router, about a head that no server could send."""
    if len(status) == 3:
        status += " "  # mod_wsgi 6 takes the number alone, 4.9 does not
    if not STATUS.match(status):
        raise ValueError(f"not a status line: {status!r}")
    lines = [status]
    for header in headers:
        if not isinstance(header, tuple):
            raise TypeError(f"a header must be a tuple, not {type(header).__name__}")
        name, value = header
        if not NAME.match(name) or not VALUE.match(value):
            raise ValueError(f"not a header: {name!r}: {value!r}")
        lines += (name, value)
    return "\n".join(lines).encode("latin-1")


class Server:
    """The application with the sockets that it is served on."""

    def __init__(self, control: Channel, order: dict[str, Any]) -> None:
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
            "wsgi.file_wrapper": SentFile,
        }
        self.application: Any = None
        self.name = ""  # of the object that was taken
        self.waiting: queue.SimpleQueue[Channel] = queue.SimpleQueue()
        self.green = False
        # A child that the application forks must not hold the router's sockets open, or answer.
        os.register_at_fork(after_in_child=functools.partial(next, self.closing(), None))

    def closing(self) -> Iterator[None]:
        """Close all sockets, once: in a child of the child this has ended, and nothing runs."""
        for connection in self.connections:
            connection.socket.close()
        yield from ()

    def load(self) -> None:
        order = self.order
        sys.argv = ["mod_wsgi_van"]
        sys.path.insert(0, order["directory"])
        known = {os.path.realpath(path) for path in sys.path}
        for path in order["site_packages"]:
            if path not in known:
                site.addsitedir(path)
        __import__(order["module"])  # unlike import_module it leaves no frames in a traceback
        self.take(sys.modules[order["module"]])
        self.green = _thread.start_new_thread is not start_new_thread
        for number in range(0 if self.green else order["threads"]):
            name = f"van-request-{number}"
            start_thread(Thread(target=self.serve_waiting, name=name, daemon=True))

    def take(self, module: Any) -> None:
        """Take the first of the objects that the module has."""
        file = getattr(module, "__file__", None) or self.order["directory"]
        names = [name for name in self.order["objects"] if hasattr(module, name)]
        if not names:
            wanted = " or ".join(map(repr, self.order["objects"]))
            raise NoApplication(f"object {wanted} in {file} is missing", file)
        self.name = names[0]
        self.application = getattr(module, self.name)
        factory = self.order["factory"]
        fault = unfit(self.application, factory)
        if factory and not fault:
            self.application = self.application()
            fault = unfit(self.application)
            fault = fault and f"returned what {fault}"
        if fault:
            raise NoApplication(f"object {self.name!r} in {file} {fault}", file)

    def serve(self) -> None:
        """Take sockets from the router until it says quit; ends the process when it is gone."""
        size = socket.CMSG_SPACE(array.array("i").itemsize)
        while True:
            if self.green:
                select.select([self.control.socket], [], [])
            data, ancillary, _, _ = self.control.socket.recvmsg(1, size, socket.MSG_CMSG_CLOEXEC)
            if data == b"q":
                return
            if not data:
                os._exit(0)
            if not ancillary:  # none where this process has no descriptors left
                self.control.send((b"!", b"files"))
            for _, _, rights in ancillary:
                fd = array.array("i", rights)[0]
                if self.green:
                    arguments = (GreenChannel(fd),)
                    threading.Thread(target=self.serve_channel, args=arguments, daemon=True).start()
                else:
                    self.waiting.put(Channel(fd))

    def serve_waiting(self) -> None:
        own = os.getpid()
        while os.getpid() == own:  # not in a child that the application forked
            self.serve_channel(self.waiting.get())

    def serve_channel(self, connection: Channel) -> None:
        self.connections.add(connection)
        try:
            kind, payload = connection.receive()
            while kind == b"Q":
                self.serve_request(connection, *marshal.loads(payload))
                kind, payload = connection.receive()
        except RouterGone:
            pass
        finally:
            self.connections.discard(connection)
            connection.socket.close()

    def serve_request(
        self, connection: Channel, mode: str, length: int | None, environ: dict[str, Any]
    ) -> None:
        if mode == "pull":
            body: Any = io.BufferedReader(PulledInput(connection, length), 65536)
        else:
            body = io.BytesIO(connection.receive()[1] if mode == "inline" else b"")
        environ.update(self.constants, **{"wsgi.input": body})
        try:
            Handler(connection).respond(self.application, environ)
        except RouterGone:
            raise
        except BaseException as error:  # also sys.exit(): it must not end the connection
            connection.send((b"X", describe(error)))
        finally:
            body.close()  # whoever kept it would read what belongs to the next request


def unfit(application: Any, factory: bool = False) -> str:
    """Why this is no WSGI application, "" where it may be one; the router's process asks too."""
    if not callable(application):
        return f"is not callable, but of type {type(application).__name__}"
    if not factory and is_asgi(application):
        return (
            "is an ASGI application: have it called through a2wsgi, app = ASGIMiddleware(app), or"
            " give it a server of its own behind mod_proxy, which WebSockets need"
        )
    return ""


def is_asgi(application: Any) -> bool:
    """Whether it is called with scope, receive and send, or with the scope first as in ASGI 2."""
    while isinstance(application, functools.partial):
        application = application.func
    if isinstance(application, type):
        function = application.__init__  # type: ignore[misc]
    elif isinstance(application, (types.FunctionType, types.MethodType)):
        function = application
    else:
        function = type(application).__call__
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return False
    names = code.co_varnames[: code.co_argcount]
    asynchronous = code.co_flags & CO_COROUTINE
    return bool(asynchronous or names[-3:] == ASGI or names in (ASGI[:1], ("self", *ASGI[:1])))


def describe(error: BaseException) -> bytes:
    """The traceback, without the frames of this file at its beginning."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename == __file__:
        step = step.tb_next
    text = "".join(traceback.format_exception(type(error), error, step))
    return text[-TEXT_SIZE:].encode("utf-8", "replace")


def files_of(error: BaseException | None, packages: list[str]) -> list[str]:
    """The files that a traceback names, and where a module that is missing would be installed."""
    files: dict[str, None] = {}
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        for frame, _ in traceback.walk_tb(error.__traceback__):
            files[frame.f_code.co_filename] = None
        if isinstance(error, SyntaxError) and error.filename:
            files[error.filename] = None
        if isinstance(error, ModuleNotFoundError):
            files.update(dict.fromkeys(packages))
        error = error.__cause__ or error.__context__
    return [name for name in files if os.path.isabs(name) and name != __file__]


def refusal(error: BaseException, packages: list[str]) -> bytes:
    """Why nothing was loaded, for the router's log."""
    if isinstance(error, NoApplication):
        message, file = error.args
        reason = {"kind": "object", "message": message, "details": "", "files": [file]}
    else:
        message = traceback.format_exception_only(type(error), error)[-1].strip()
        reason = {"kind": "import", "message": message, "details": describe(error).decode()}
        reason["files"] = files_of(error, packages)
    return json.dumps(reason).encode()


def distrust_young_bytecode(loader: Any) -> None:
    """Have a SourceFileLoader read and write no .pyc that may be of another edit.

    A .pyc knows its source by the size and the whole seconds of the mtime alone: an edit in place
    that keeps the size, within the second of the last load, would be answered with the old code.
    An OSError while a .pyc is read makes importlib compile the source. The isolation in the
    router's process uses this too, and SteadyFinders.
    """
    get_code, get_data = loader.get_code, loader.get_data

    def careful_get_code(self: Any, fullname: str) -> Any:
        path = self.get_filename(fullname)
        try:
            young = time.time() - changed_at(path) < YOUNG
        except OSError:
            young = False
        if young:
            return self.source_to_code(self.get_data(path), path)
        return get_code(self, fullname)

    def careful_get_data(self: Any, path: str) -> bytes:
        data: bytes = get_data(self, path)
        by_mtime = path.endswith(".pyc") and data[4:8] == bytes(4)  # PEP 552
        if by_mtime and changed_at(path, self.path) <= changed_at(self.path):
            raise OSError(f"{path} is not younger than its source")
        return data

    loader.get_code, loader.get_data = careful_get_code, careful_get_data


def changed_at(path: str, source: str = "") -> float:
    """When a file was changed; that of a .pyc counts as that of its ``source``.

    By the ctime: an archive that is unpacked may set the mtime of another edit back. Not so where
    packages are installed: uv links them from its cache into one environment after the other, and
    each link renews the ctime for all.
    """
    found, installed = os.stat(path), any(part in (source or path) for part in INSTALLED)
    return found.st_mtime if installed else max(found.st_mtime, found.st_ctime)


class SteadyFinders(list):  # type: ignore[type-arg]
    """``sys.meta_path``: an import sees it as it was when it began.

    Otherwise, when another thread takes a finder out meanwhile, as setuptools does, the import
    skips the next finder and finds no module (gh-130094, mended in CPython 3.14).
    """

    def __iter__(self) -> Any:
        return iter(tuple(super().__iter__()))


def tie_to_router(lifeline: int) -> None:
    """Have the kernel kill this process group when the router is gone, in whatever way.

    The end of the control socket is not enough: no thread notices it while an extension module
    holds the GIL. PR_SET_PDEATHSIG is too much: it kills when the thread of the router ends that
    started this process.
    """
    os.set_inheritable(lifeline, False)
    # As a file, it is closed once: in a child of the child the number is another file.
    os.register_at_fork(after_in_child=io.FileIO(lifeline).close)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def shut_in(privileges: bool) -> None:
    """Let no process of the same user read or trace this one; without ``privileges``, gain none.

    By _ctypes alone: ctypes is larger, and takes longer to import. What this process executes can
    be read and traced again, but gains no privileges either.
    """
    wanted = {PR_SET_DUMPABLE: 0} if privileges else {PR_SET_DUMPABLE: 0, PR_SET_NO_NEW_PRIVS: 1}
    try:
        import _ctypes

        here = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        prctl = _ctypes.dlsym(here, "prctl")
        for option, value in wanted.items():
            if _ctypes.call_function(prctl, (option, value, 0, 0, 0)):
                raise OSError(f"prctl({option}) failed")
    except (ImportError, OSError) as error:
        remedy = "make the environment with a Python that has ctypes"
        print(f"VAN048: its worker is not shut in: {error}; {remedy}", file=sys.stderr)


def prepare(order: dict[str, Any]) -> None:
    # A thread of Apache that starts a process passes its blocked signals on.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    os.environ.update(order["env"])
    time.tzset()
    shut_in(order["privileges"])
    if sys.flags.no_site:  # for a site without an environment; these are as much the language's
        site.setquit()
        site.setcopyright()
        site.sethelper()
    distrust_young_bytecode(importlib.machinery.SourceFileLoader)
    sys.meta_path = SteadyFinders(sys.meta_path)


def main() -> None:
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    tie_to_router(int(sys.argv[2]))
    control = Channel(int(sys.argv[1]))
    order = json.loads(control.receive()[1])
    prepare(order)
    server = Server(control, order)
    try:
        server.load()
    except BaseException as error:  # SystemExit too; the router says what it means
        control.send((b"!", refusal(error, order["site_packages"])))
        return
    python = "{}.{}.{}".format(*sys.version_info)
    control.send((b"+", f"{server.name} {python}".encode()))
    server.serve()


if __name__ == "__main__":
    main()
