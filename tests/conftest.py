"""No test may leave a thread, a process or a descriptor behind; every warning is an error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.children import adopt_orphans, end_all, none_left
from tests.support.descriptors import descriptors
from tests.support.places import open_directory
from tests.support.waiting import wait


def pytest_sessionstart() -> None:
    adopt_orphans()


def pytest_sessionfinish() -> None:
    end_all()


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    threads, opened = set(threading.enumerate()), descriptors()
    with none_left():
        yield
    if request.node.get_closest_marker("leaves_threads") is None:
        wait(
            lambda: not set(threading.enumerate()) - threads,
            "the end of the threads that the test began",
            seconds=20,
            tell=lambda: str(set(threading.enumerate()) - threads),
        )
    left_open = {
        name: target
        for name, target in descriptors().items()
        if opened.get(name) != target and not target.startswith("/proc/")
    }
    assert not left_open, f"descriptors left behind: {left_open}"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A temporary directory that every user may enter: pytest keeps closing its own."""
    with open_directory() as path:
        yield path


@pytest.fixture
def make_router(tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Make routers of ``tmp_path``, a subclass where given; they are shut down at the end."""
    made: list[Router] = []

    def make(cls: type[Router] = Router, **settings: Any) -> Router:
        settings.setdefault("base_path", str(tmp_path))
        settings.setdefault("update_interval", 0.1)
        made.append(cls(**settings))
        return made[-1]

    yield make
    for router in made:
        router.shutdown()
