"""Asking a server: one request at a time, over a kept connection, or the raw bytes of it."""

from __future__ import annotations

import http.client
import socket

from tests.support.answer import Answer
from tests.support.waiting import DEADLINE


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Connection:
    """One keep-alive connection, opened again when the server has closed it between requests."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)

    def ask(
        self, host: str, path: str = "/", *, method: str = "GET", body: bytes | None = None
    ) -> Answer:
        reused = self._http.sock is not None
        try:
            return self._once(host, path, method, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._http.close()
            # RFC 9112 9.3: a server may close an idle connection at any time; on a fresh one a
            # request without an answer is a lost request.
            if not reused:
                raise
        return self._once(host, path, method, body)

    def _once(self, host: str, path: str, method: str, body: bytes | None) -> Answer:
        self._http.request(method, path, body=body, headers={"Host": host})
        return _received(self._http.getresponse())

    def close(self) -> None:
        self._http.close()


def _received(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, dict(response.getheaders()), response.read())


def ask(
    port: int, host: str, path: str = "/", *, method: str = "GET", body: bytes | None = None
) -> Answer:
    """One request over a connection of its own."""
    connection = Connection(port)
    try:
        return connection.ask(host, path, method=method, body=body)
    finally:
        connection.close()


def raw(port: int, request: bytes) -> Answer:
    """Send exactly these bytes and read until the server closes (say Connection: close)."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return _received(response)
