"""Asks a status socket, as a client of any language would."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

PATIENCE = 20.0


def ask(path: Path, question: object) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as answer:
            return [json.loads(line) for line in answer]


def told(directory: Path, site: str, ask_for: str = "status") -> dict[str, Any]:
    """The line of one site, of this process; {} where there is none."""
    lines = ask(directory / str(os.getpid()), {"ask": ask_for, "site": site})
    return lines[1] if len(lines) > 1 else {}
