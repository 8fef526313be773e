"""Vhosts written by hand, and their releases."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tests.support.links import swap

APP = """
def app(environ, start_response):
    body = {text!r}.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
HANGS = """
import os, time
open({go!r} + ".begun", "w").close()
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def app(text: str) -> str:
    """The source of an application that answers ``text``."""
    return APP.format(text=text)


def hangs(go: Path) -> str:
    """Source that is held up until ``go`` exists; beside it ``go.begun`` says that it has begun."""
    return HANGS.format(go=str(go))


def site(base: Path, host: str, text: str = "one", **files: str) -> Path:
    """Make a vhost directory whose application answers ``text``."""
    write(base / host / "wsgi" / "app.py", app(text))
    for name, content in files.items():
        write(base / host / "wsgi" / f"{name}.py", content)
    return base / host


def release(base: Path, host: str, number: int, source: str) -> Path:
    """Make ``.builds/host/number`` with an application; nothing links to it yet."""
    directory = base / ".builds" / host / str(number)
    write(directory / "wsgi" / "app.py", source)
    return directory


def deploy(base: Path, host: str, directory: Path) -> None:
    """Point the vhost's link at ``directory``."""
    swap(base / host, directory)
