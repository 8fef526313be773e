"""Fixtures: each mod_wsgi in turn, servers that end with the test, the log of a failed one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator

import pytest

from integration import comparison
from integration.server import flavours, programs
from integration.server.flavours import Flavour
from integration.server.running import Running, prepare
from tests.support.children import adopt_orphans, end_all, none_left
from tests.support.places import open_directory

Serve = Callable[..., Running]

SERVERS = pytest.StashKey[list[Running]]()
FAILED = pytest.StashKey[bool]()


def pytest_sessionstart() -> None:
    adopt_orphans()


def pytest_sessionfinish() -> None:
    end_all()


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    with none_left():
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVERS] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Worker processes know no mod_wsgi: one of them is enough for what they have to show."""
    of_workers = {"mode": "workers", "flavour": flavours.PYPI}
    twice = [item for item in items if of_workers.items() <= _parameters(item).items()]
    if twice:
        config.hook.pytest_deselected(items=twice)
        items[:] = [item for item in items if item not in twice]


def _parameters(item: pytest.Item) -> dict[str, object]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for running in item.config.stash[SERVERS]:
            report.sections.append(("error log of httpd", running.httpd.log()[-20_000:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in comparison.table():
        terminalreporter.write_line(line)


def _demand(lack: str) -> None:
    """Skip without httpd; on the build machine, where it must be there, fail."""
    if lack and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and integration cannot run: {lack}")
    if lack:
        pytest.skip(f"integration needs httpd: {lack}")


@pytest.fixture(scope="session", params=flavours.NAMES)
def flavour(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    _demand("" if programs.httpd() else "no httpd program (apt install apache2)")
    _demand(flavours.missing(request.param))
    with open_directory() as directory:
        yield flavours.flavour(request.param, directory)


@pytest.fixture(params=["daemon", "embedded", "workers"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serve(flavour: Flavour, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """A function that starts a server: mode, settings=, changes= (see running.prepare)."""
    servers = request.config.stash[SERVERS]

    def start(mode: str = "daemon", **how: object) -> Running:
        running = prepare(flavour, mode, **how)  # type: ignore[arg-type]
        servers.append(running)
        running.httpd.start()
        return running

    yield start
    while servers:
        servers.pop().end()
