"""Vhosts made by hand, and a client that speaks WSGI to a router through the validator."""

from __future__ import annotations

import io
import os
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

APP = """
def app(environ, start_response):
    body = {text!r}.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def app(text: str) -> str:
    return APP.format(text=text)


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
    """Point the vhost's symlink at ``directory`` as ``ln -sfn`` does: in one step."""
    temporary = base / f".{host}.{threading.get_ident()}"
    temporary.symlink_to(directory)
    os.replace(temporary, base / host)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str
    environ: dict[str, Any] = field(repr=False)


def get(
    application: Callable[..., Any], host: str | None, path: str = "/", **environ: Any
) -> Answer:
    """Send one request through ``wsgiref.validate``."""
    environ = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", **environ}
    setup_testing_defaults(environ)
    environ.setdefault("wsgi.input", io.BytesIO())
    if host is None:
        environ.pop("HTTP_HOST", None)
    else:
        environ["HTTP_HOST"] = host
    seen: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., None]:
        seen[:] = [status, headers]
        return lambda data: None

    iterable: Any = validator(application)(environ, start_response)
    try:
        body = b"".join(iterable)
    finally:
        iterable.close()
    return Answer(int(seen[0].split()[0]), dict(seen[1]), body.decode(), environ)


def wait(condition: Callable[[], Any], what: str = "the condition", seconds: float = 20) -> Any:
    """Wait until ``condition()`` is true and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.005)
    return value


def wait_for(application: Callable[..., Any], host: str, body: str) -> None:
    wait(lambda: get(application, host).body.strip() == body, f"{host} to answer {body!r}")


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(number)`` in threads and raise the first of their errors."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.strip())
