"""Asking a server: one request at a time, over a kept connection, or the raw bytes of it."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was received to its end."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("latin-1")

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One keep-alive connection, opened again when the server has closed it between requests."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

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
        response = self._http.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())

    def close(self) -> None:
        self._http.close()


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
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
