"""Directories that httpd's user can enter, and commands that end with the test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.cli import apache
from mod_wsgi_van.cli.problem import Unusable
from tests.cli.running import APP, Command, deploy

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def nothing_ignored() -> Iterator[None]:
    """As in a terminal; these tests may themselves have been started by nohup or with &."""
    before = [signal.signal(number, signal.SIG_DFL) for number in ENDING]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(ENDING, before, strict=True):
        signal.signal(number, handler)


def servers() -> list[str]:
    """The servers to be had here; CI has both."""
    try:
        apache.find()
    except Unusable:
        if os.environ.get("CI") == "true":
            raise
        return ["waitress"]
    return ["apache", "waitress"]


collect_ignore = [] if "apache" in servers() else ["test_httpd.py"]


@pytest.fixture(params=servers())
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(open_path: Path) -> Path:
    """Two releases of one site, the first one live."""
    path = open_path / "www"
    for number in (1, 2):
        wsgi = path / f".releases/{number}/wsgi"
        wsgi.mkdir(parents=True)
        (wsgi / "app.py").write_text(APP.format(number))
    deploy(path, 1)
    return path


@pytest.fixture
def command(open_path: Path) -> Iterator[Callable[..., Command]]:
    """Start the command; its temporary files go to a directory of its own."""
    temporary = open_path / "tmp"
    temporary.mkdir()
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(*arguments, temporary=temporary))
        return started[-1]

    yield start
    for each in started:
        each.close()
