"""A server's side of WSGI, strict on both ends, and what else the tests of workers need."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.wsgi import Application, Environ

SITE = Path(__file__).parent / "site"
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def _pythons() -> dict[str, str]:
    """One interpreter of each version that there is, the running one first."""
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    for version in VERSIONS:
        places = [*Path.home().glob(f".pyenv/versions/{version}.*/bin")]
        places += map(Path, os.environ["PATH"].split(os.pathsep))
        for place in places:
            if os.access(place / f"python{version}", os.X_OK) and "shims" not in str(place):
                found.setdefault(version, str(place / f"python{version}"))
    return found


PYTHONS = _pythons()


def source(directory: Path = SITE, python: str = sys.executable, host: str = "a.test") -> Source:
    return Source(
        host=host,
        path=str(directory),
        directory=str(directory / "wsgi"),
        venv=str(directory / ".venv"),
        site_packages=(),
        module_name="app",
        object_name="app",
        python=python,
    )


@dataclass
class Answer:
    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def make_environ(path: str, method: str = "GET", body: bytes | None = None, **more: Any) -> Environ:
    environ: Environ = {"REQUEST_METHOD": method, "PATH_INFO": "/" + path, "SCRIPT_NAME": ""}
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
    environ |= more
    environ.setdefault("QUERY_STRING", "")
    setup_testing_defaults(environ)
    return environ


class Call:
    """One request under way: iterate it, and close it."""

    def __init__(self, application: Application, environ: Environ) -> None:
        self.head: list[Any] = []
        self.response = application(environ, self.start_response)
        self.blocks = iter(self.response)

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        assert not self.head, "start_response was called twice"
        self.head[:] = [status, headers]
        return lambda data: None

    def close(self) -> None:
        if hasattr(self.response, "close"):
            self.response.close()

    def finish(self) -> Answer:
        try:
            body = b"".join(self.blocks)
        finally:
            self.close()
        return Answer(self.head[0], dict(self.head[1]), body)


def ask(
    application: Application, path: str, method: str = "GET", body: bytes | None = None, **more: Any
) -> Answer:
    """One request through ``wsgiref.validate``, to its end."""
    environ = make_environ(path, method, body, **more)
    return Call(validator(application), environ).finish()


def wait(condition: Callable[[], Any], what: str = "the condition", seconds: float = 20) -> Any:
    """Wait until ``condition()`` is true and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.005)
    return value


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def vhost(directory: Path, text: str) -> Path:
    (directory / "wsgi").mkdir(parents=True)
    (directory / "wsgi" / "app.py").write_text(textwrap.dedent(text))
    return directory


def pid_of(application: Application) -> int:
    pid: int = ask(application, "about").json["pid"]
    return pid


def make_script(path: Path, text: str) -> str:
    path.write_text(textwrap.dedent(text))
    path.chmod(stat.S_IRWXU)
    return str(path)
