"""The short answers of the router's own: plain text that tells a client nothing of the inside."""

from __future__ import annotations

from mod_wsgi_van.wsgi import Environ, Response, StartResponse

# Keys of environ, for an override of Router.unavailable.
STATUS = "mod_wsgi_van.status"
RETRY_AFTER = "mod_wsgi_van.retry_after"  # seconds as a str; only with 503

_TEXTS = {
    "400": b"This host name cannot be served.\n",
    "404": b"There is no such site here.\n",
}


def short(
    environ: Environ, start_response: StartResponse, status: str, retry_after: object = None
) -> Response:
    """Answer with ``status``, and where it is given with ``retry_after`` in seconds."""
    body = _TEXTS.get(status[:3], b"This site cannot be served at the moment.\n")
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    start_response(status, headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
