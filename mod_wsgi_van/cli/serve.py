"""Serves a base directory in the foreground: Apache where it can be had, waitress otherwise."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van import Router
from mod_wsgi_van.cli import httpd
from mod_wsgi_van.cli.apache import THREADS
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem, Unusable

ADDRESS = "127.0.0.1"
SERVERS = ("auto", "apache", "waitress")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be served: ``settings`` are the Router's, with an absolute base_path."""

    settings: Mapping[str, Any]
    port: int  # 0: any free one
    server: str


def serve(order: Order, ready: Callable[[int], None], interruption: Interruption) -> None:
    """Serve until interrupted; ``ready`` is called with the port. Raises Problem.

    KeyboardInterrupt comes out or, after waitress, does not.
    """
    base = order.settings["base_path"]
    if not Path(base).is_dir():
        raise Problem(f"base path {base} is not a directory")
    if not os.access(base, os.R_OK | os.X_OK):
        raise Problem(f"base path {base} cannot be read: permission denied")
    listening = _listening(order.port)
    port = listening.getsockname()[1]

    def announce(server: str) -> None:
        print(f"Serving {base} on http://{ADDRESS}:{port}/ with {server}", flush=True)
        ready(port)

    no_apache = ""
    if order.server != "waitress":
        listening.close()  # httpd binds it itself
        try:
            httpd.run(order.settings, f"{ADDRESS}:{port}", announce, interruption)
        except Unusable as error:
            if order.server == "apache":
                raise
            no_apache = f", not Apache: {error}"
        listening = _listening(port)
    with listening:
        try:
            run_waitress(order.settings, listening, lambda name: announce(name + no_apache))
        except Unusable as error:
            raise Problem(f"{error}{no_apache}") from error


def _listening(port: int) -> socket.socket:
    """A socket that listens: both servers learn here whether the port can be had."""
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        raise refused(port, error) from error


def refused(port: int, error: OSError) -> Problem:
    """Why the port cannot be had, and the remedy."""
    if error.errno == errno.EADDRINUSE:
        return Problem(f"port {port} is in use (choose another with --port)")
    if error.errno == errno.EACCES:
        return Problem(f"port {port} needs root's rights (use --port 1024 or above)")
    return Problem(f"port {port} cannot be used: {error.strerror}")


def run_waitress(
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
        sockets = [listening]
        server = waitress.server.create_server(router.application, sockets=sockets, threads=THREADS)
        announce("waitress, in this process")
        server.run()  # ends at KeyboardInterrupt, after requests in flight or 5 seconds
        server.close()
    finally:
        router.shutdown()
