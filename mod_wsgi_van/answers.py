"""What the router says itself: short text/plain bodies that tell a client nothing of the inside.

WSGI applications, called in the request's thread; not_found and unavailable can be overridden in a
Router subclass, which finds the status to use under ``mod_wsgi_van.status`` of the environ.
"""

from __future__ import annotations

from mod_wsgi_van.wsgi import Environ, Response, StartResponse

STATUS = "mod_wsgi_van.status"
RETRY_AFTER = "mod_wsgi_van.retry_after"  # seconds as a str; only with 503


def bad_request(environ: Environ, start_response: StartResponse) -> Response:
    return plain("400 Bad Request", "This host name cannot be served.", environ, start_response)


def not_found(environ: Environ, start_response: StartResponse) -> Response:
    return plain("404 Not Found", "There is no such site here.", environ, start_response)


def unavailable(environ: Environ, start_response: StartResponse) -> Response:
    status = environ.get(STATUS, "503 Service Unavailable")
    return plain(status, "This site cannot be served at the moment.", environ, start_response)


def plain(status: str, text: str, environ: Environ, start_response: StartResponse) -> Response:
    body = f"{text}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    if RETRY_AFTER in environ:
        headers.append(("Retry-After", environ[RETRY_AFTER]))
    start_response(status, headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
