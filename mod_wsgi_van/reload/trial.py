"""The first request of a release: one of the router's own, which decides whether it goes live."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Callable
from traceback import TracebackException
from urllib.parse import unquote
from wsgiref.util import FileWrapper

from mod_wsgi_van.errors import CheckFailed
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.sites.release import Lease
from mod_wsgi_van.wsgi import Application, Environ


def check(source: Source, application: Application, path: str, timeout: float) -> None:
    """GET ``path`` of a release that was just loaded; raises CheckFailed.

    The status has to be below 500, and the response at its end within ``timeout`` seconds. It runs
    in a thread of its own: nobody can end a request of this process.
    """
    told: list[str] = []
    thread = threading.Thread(
        target=lambda: told.append(_ask(application, make_environ(source, path))),
        name=f"van-check-{source.host}",
        daemon=True,
    )
    try:
        thread.start()
    except RuntimeError as error:
        raise CheckFailed(f"{source.host}: no thread is to be had for check: {error}") from error
    thread.join(timeout)
    fault = told[0] if told else "has not answered within load_timeout"
    if fault:
        first, _, details = fault.partition("\n")
        raise CheckFailed(
            f"{source.host}: the release from {source.directory} {first} to GET {path} (check)",
            details=details,
        )


def make_environ(source: Source, path: str) -> Environ:
    """The environ of a GET that comes from this machine, as a server makes it."""
    path, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": source.host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "mod_wsgi_van",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "HTTP_HOST": source.host,
        "HTTP_USER_AGENT": "mod_wsgi_van check",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "mod_wsgi_van.release": Lease(source.directory),
    }


def _ask(application: Application, environ: Environ) -> str:
    """What is wrong with the answer, and a traceback on further lines; "" for nothing."""
    statuses: list[str] = []

    def start_response(
        status: str, headers: object, exc_info: object = None
    ) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda data: None

    try:
        response = application(environ, start_response)
        try:
            for _ in response:
                pass
        finally:
            with contextlib.suppress(AttributeError):
                response.close()  # type: ignore[attr-defined]
    except BaseException as error:  # an application may exit
        described = TracebackException.from_exception(error)
        described.stack[:] = described.stack[1:]  # without this function
        return f"raised {type(error).__name__}\n{''.join(described.format())}"
    status = statuses[-1] if statuses else "nothing"
    return "" if status[:1] in "1234" else f"answered {status}"
