"""A client that speaks WSGI to an application in this process, through the validator of wsgiref."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from mod_wsgi_van.wsgi import Application, Environ
from tests.support.answer import Answer
from tests.support.waiting import wait


def make_environ(
    path: str = "/", method: str = "GET", body: bytes | None = None, **more: Any
) -> Environ:
    """The environ of a request; a body comes with its length."""
    environ: Environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    environ["PATH_INFO"] = "/" + path.removeprefix("/")
    if body is not None:
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    environ |= more
    setup_testing_defaults(environ)
    return environ


class Call:
    """One request under way: iterate ``blocks`` or ``finish`` it, and close it."""

    def __init__(self, application: Application, environ: Environ) -> None:
        self.head: list[Any] = []
        self.response = application(environ, self._start_response)
        self.blocks = iter(self.response)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        assert not self.head, "start_response was called twice"
        self.head[:] = [status, headers]
        return lambda data: None

    def close(self) -> None:
        if hasattr(self.response, "close"):
            self.response.close()

    def finish(self) -> Answer:
        try:
            content = b"".join(self.blocks)
        finally:
            self.close()
        status, headers = self.head
        return Answer(int(status.split()[0]), dict(headers), content)


def ask(
    application: Application,
    path: str = "/",
    method: str = "GET",
    body: bytes | None = None,
    **more: Any,
) -> Answer:
    """One request to its end."""
    return Call(validator(application), make_environ(path, method, body, **more)).finish()


def get(application: Application, host: str | None, path: str = "/", **more: Any) -> Answer:
    """One request for a host; None: without a Host header."""
    environ = make_environ(path, **more)
    environ["HTTP_HOST"] = host
    if host is None:
        del environ["HTTP_HOST"]
    return Call(validator(application), environ).finish()


def wait_for(application: Application, host: str, body: str) -> None:
    """Ask until the answer is ``body``, whatever space is around it."""
    wait(lambda: get(application, host).body.strip() == body, f"{host} to answer {body!r}")
