"""A dashboard of processes that are none, on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.cli.dashboard.observer import Observer
from mod_wsgi_van.cli.dashboard.server import DashboardServer
from tests.support.daemon import FakeProcess

Begin = Callable[..., FakeProcess]


@pytest.fixture
def directory(open_path: Path) -> Path:
    """Where the processes listen."""
    path = open_path / "status"
    path.mkdir()
    return path


@pytest.fixture
def begin(directory: Path) -> Iterator[Begin]:
    """Begin a process; what did not end ends with the test."""
    begun: list[FakeProcess] = []

    def start(pid: int, **told: object) -> FakeProcess:
        begun.append(FakeProcess(directory, pid, **told))
        return begun[-1]

    yield start
    for each in begun:
        if each.path.exists():
            each.end()


@pytest.fixture
def observer(directory: Path) -> Observer:
    return Observer(str(directory))


@pytest.fixture
def server(observer: Observer) -> Iterator[DashboardServer]:
    with DashboardServer("127.0.0.1:0", observer) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()
