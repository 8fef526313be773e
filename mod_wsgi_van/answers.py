"""The short answers of the router's own: plain text that tells a client nothing of the inside."""

from __future__ import annotations

from mod_wsgi_van.wsgi import Environ, Response, StartResponse

# Keys of environ, for an override of Router.unavailable.
STATUS = "mod_wsgi_van.status"
RETRY_AFTER = "mod_wsgi_van.retry_after"  # seconds as a str; only with 503
MAINTENANCE = "60"  # seconds until a client is to ask again

_TEXTS = {
    "400": b"This host name cannot be served.\n",
    "404": b"There is no such site here.\n",
}


def short(
    environ: Environ,
    start_response: StartResponse,
    status: str,
    retry_after: object = None,
    page: bytes | None = None,
) -> Response:
    """Answer with ``status``, with ``retry_after`` in seconds and a page of HTML where given."""
    body = _TEXTS.get(status[:3], b"This site cannot be served at the moment.\n")
    body, kind = (body, "plain") if page is None else (page, "html")
    headers = [
        ("Content-Type", f"text/{kind}; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    start_response(status, headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
