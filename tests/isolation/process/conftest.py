"""Isolations that are shut down, with all their workers, at the end of a test or module."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.wsgi import Application
from tests.isolation.process import calling


@pytest.fixture
def make_isolation() -> Iterator[Callable[..., ProcessIsolation]]:
    made: list[ProcessIsolation] = []

    def make(**settings: Any) -> ProcessIsolation:
        made.append(ProcessIsolation(Settings(**settings)))
        return made[-1]

    yield make
    for isolation in made:
        isolation.shutdown(5)


@pytest.fixture
def load(make_isolation: Callable[..., ProcessIsolation]) -> Callable[..., Application]:
    """Load the site of these tests in workers with the settings that are given."""

    def load(**settings: Any) -> Application:
        return make_isolation(**settings).load(calling.source()).application

    return load


@pytest.fixture(scope="module", params=sorted(calling.PYTHONS))
def python(request: pytest.FixtureRequest) -> str:
    version: str = request.param
    return version


@pytest.fixture(scope="module")
def application(python: str) -> Iterator[Application]:
    """The site of these tests, in a worker of each Python that there is."""
    before = len(os.listdir("/proc/self/fd"))
    isolation = ProcessIsolation(Settings(process_threads=4))
    yield isolation.load(calling.source(python=calling.PYTHONS[python])).application
    isolation.shutdown(5)
    assert len(os.listdir("/proc/self/fd")) == before
