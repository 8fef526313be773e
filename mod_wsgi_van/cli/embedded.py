"""Runs the router in this process, under waitress."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from mod_wsgi_van import Router
from mod_wsgi_van.cli.apache import THREADS
from mod_wsgi_van.cli.problem import Unusable


def run(
    settings: Mapping[str, Any], listening: socket.socket, announce: Callable[[str], None]
) -> None:
    """Serve until KeyboardInterrupt, which is not passed on; raises Unusable without waitress."""
    try:
        import waitress.server
    except ModuleNotFoundError as error:
        raise Unusable(
            "waitress, the embedded server, is not installed (pip install 'mod-wsgi-van[serve]')"
        ) from error
    router = Router(**settings)
    try:
        server = waitress.server.create_server(
            router.application, sockets=[listening], threads=THREADS
        )
        announce("waitress, in this process")
        server.run()  # ends at KeyboardInterrupt, after requests in flight or 5 seconds
        server.close()
    finally:
        router.shutdown()
