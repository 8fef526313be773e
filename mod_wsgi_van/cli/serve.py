"""Serves a base directory in the foreground: Apache where it can be had, waitress otherwise."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van.cli import embedded, httpd
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
    _check_base(order.settings["base_path"])
    with _listening(order.port) as listening:
        _serve(order, listening, ready, interruption)


def _check_base(path: str) -> None:
    """Raises Problem unless sites can be looked for there."""
    if not Path(path).is_dir():
        raise Problem(f"base path {path} is not a directory")
    if not os.access(path, os.R_OK | os.X_OK):
        raise Problem(f"base path {path} cannot be read: permission denied")


def _listening(port: int) -> socket.socket:
    """A socket that listens: both servers learn here whether the port can be had."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((ADDRESS, port))
        # A bind with SO_REUSEADDR alone succeeds beside a socket that is bound but not listening.
        bound.listen()
    except OSError as error:
        bound.close()
        raise refused(port, error) from error
    return bound


def refused(port: int, error: OSError) -> Problem:
    """Why the port cannot be had, and the remedy."""
    if error.errno == errno.EADDRINUSE:
        return Problem(f"port {port} is in use (choose another with --port)")
    if error.errno == errno.EACCES:
        return Problem(f"port {port} needs root's rights (use --port 1024 or above)")
    return Problem(f"port {port} cannot be used: {error.strerror}")


def _serve(
    order: Order,
    listening: socket.socket,
    ready: Callable[[int], None],
    interruption: Interruption,
) -> None:
    port = listening.getsockname()[1]
    base = order.settings["base_path"]

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
            embedded.run(order.settings, listening, lambda name: announce(name + no_apache))
        except Unusable as error:
            raise Problem(f"{error}{no_apache}") from error
