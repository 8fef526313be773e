"""The server of the dashboard: http.server, with what it lacks against slow and strange clients.

It knows GET and HEAD, answers one request a connection, holds few connections and none for long.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client.exposition import choose_encoder

from mod_wsgi_van.cli.dashboard import metrics, shown
from mod_wsgi_van.cli.dashboard.observer import Observer
from mod_wsgi_van.cli.problem import Problem

log = logging.getLogger(__name__)

_MOST = 64  # connections at a time
_PATIENCE = 10.0  # seconds in which a client has to send or to take something
_LONGEST = 30.0  # seconds of a connection in all

_SAFETY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_SCRIPT = "text/javascript; charset=utf-8"
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    **{f"/{name}": (name, _SCRIPT) for name in ("script.js", "details.js", "text.js")},
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"

Response = tuple[HTTPStatus, str, bytes]  # with the type of the content


def address(bind: str) -> tuple[str, int]:
    """Host and port of ``--bind``; raises ValueError."""
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{bind!r} is not HOST:PORT, such as 127.0.0.1:9117")
    return host.removeprefix("[").removesuffix("]"), int(port)


class DashboardServer(ThreadingHTTPServer):
    """Serves until ``shutdown``."""

    daemon_threads = True
    request_queue_size = _MOST

    def __init__(self, bind: str, observer: Observer) -> None:
        """Raises Problem where the address cannot be had."""
        self.host, port = address(bind)
        self.observer = observer
        self.registry = metrics.registry(observer.look)
        self._open: dict[socket.socket, float] = {}  # connections, and since when
        try:
            family = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)[0][0]
            self.address_family = family
            super().__init__((self.host, port), Handler)
        except OSError as error:
            raise Problem(f"--bind {bind}: {error.strerror or error}; choose another") from error

    def server_bind(self) -> None:
        """HTTPServer would ask the name service for a name, which nobody needs."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread for a connection, where there is room for one more."""
        if len(self._open) >= _MOST:
            self.shutdown_request(request)
            return
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().close_request(request)

    def service_actions(self) -> None:
        """End connections of clients that send or take a byte now and then.

        It is called twice a second.
        """
        now = time.monotonic()
        for connection, since in list(self._open.items()):
            if now - since > _LONGEST:
                with contextlib.suppress(OSError):  # it has just ended
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error."""
        log.debug("a connection of %s failed", client_address, exc_info=True)

    def is_own(self, host: str) -> bool:
        """Whether a Host header can be of this server.

        A page of another site may point a name of its own to this address (DNS rebinding), and read
        what is here as if it were its own. It cannot do so with an address or with localhost.
        """
        with contextlib.suppress(ValueError):
            name = urlsplit(f"//{host}").hostname or ""
            if name in ("localhost", self.host.lower()):
                return True
            return bool(ipaddress.ip_address(name))
        return False


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: DashboardServer
    timeout = _PATIENCE
    server_version = "mod_wsgi_van"
    sys_version = ""

    def do_GET(self) -> None:
        try:
            response = self._response()
        except Exception:
            log.exception("the dashboard met an unexpected error and goes on")
            response = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"see the dashboard's log\n"
        status, kind, body = response
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST

    def end_headers(self) -> None:
        for name, value in _SAFETY.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged per request."""

    def _response(self) -> Response:
        if not self.server.is_own(self.headers.get("Host", "")):
            text = "Ask for this dashboard by its address, or by the name that --bind has.\n"
            return HTTPStatus.MISDIRECTED_REQUEST, _TEXT, text.encode()
        url = urlsplit(self.path)
        if url.path in _FILES:
            name, kind = _FILES[url.path]
            return HTTPStatus.OK, kind, (files(__package__) / "page" / name).read_bytes()
        if url.path in _ANSWERS:
            given = {key: values[-1] for key, values in parse_qs(url.query).items()}
            return _ANSWERS[url.path](self, given)
        return HTTPStatus.NOT_FOUND, _TEXT, b"There is no such page.\n"

    def _metrics(self, given: dict[str, str]) -> Response:
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        return HTTPStatus.OK, kind, encode(self.server.registry)

    def _live(self, given: dict[str, str]) -> Response:
        return HTTPStatus.OK, _TEXT, b"live\n"

    def _ready(self, given: dict[str, str]) -> Response:
        if obstacle := self.server.observer.look().obstacle:
            return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{obstacle}\n".encode()
        return HTTPStatus.OK, _TEXT, b"ready\n"

    def _status(self, given: dict[str, str]) -> Response:
        since = given.get("since", "")
        changes = shown.changes(self.server.observer, int(since) if since.isdecimal() else 0)
        return HTTPStatus.OK, _JSON, _encoded(changes)

    def _site(self, given: dict[str, str]) -> Response:
        site = shown.site(self.server.observer, given.get("name", ""))
        status = HTTPStatus.OK if site else HTTPStatus.NOT_FOUND
        return status, _JSON, _encoded(site)


_ANSWERS: dict[str, Callable[[Handler, dict[str, str]], Response]] = {
    "/metrics": Handler._metrics,
    "/live": Handler._live,
    "/ready": Handler._ready,
    "/status.json": Handler._status,
    "/site.json": Handler._site,
}


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
