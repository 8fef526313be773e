"""Asks the daemon processes what they do."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mod_wsgi_van.cli.problem import Problem

PATIENCE = 2.0  # seconds in which a process has to send something
_AT_ONCE = 16

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one process told: ``process`` and ``sites`` are as in mod_wsgi_van.status.

    ``error`` says why that is nothing, or not all.
    """

    socket: str
    process: Line = field(default_factory=dict)
    sites: tuple[Line, ...] = ()
    error: str = ""


def processes(directory: str, ask: str = "status", site: str | None = None) -> list[Reply]:
    """Ask all processes whose sockets are in ``directory``; dead ones are left out.

    Raises Problem where the directory cannot be read, or may not be.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Problem(f"{directory}: {error.strerror}") from error
    question = {"ask": ask} | ({"site": site} if site is not None else {})
    paths = [os.path.join(directory, name) for name in names]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        told = threads.map(lambda path: _ask(path, question), paths)
        return [each for each in told if each is not None]


def _ask(path: str, question: Line) -> Reply | None:
    """None where nobody listens any more."""
    received = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(path)
            connection.sendall(json.dumps(question).encode() + b"\n")
            blocks = []
            while block := connection.recv(1 << 18):
                blocks.append(block)
            received = b"".join(blocks)
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    except PermissionError:
        who = "root, the user of the daemon and the group of the socket may ask"
        return Reply(path, error=f"{path}: {who}")
    except OSError as error:
        return Reply(path, error=f"{path}: no answer: {error}")
    try:
        lines = [json.loads(line) for line in received.splitlines()]
        return Reply(path, lines[0]["process"], tuple(lines[1:]), lines[0].get("error", ""))
    except (ValueError, LookupError, TypeError):
        return Reply(path, error=f"{path}: what it answers is no status")
