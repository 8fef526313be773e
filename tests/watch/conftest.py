"""The watchers under test."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.watch.kernel import Inotify
from tests.watch.probe import Probe

SETTINGS = ("inotify", "polling", "auto")

Opened = Callable[..., Probe]


def no_inotify() -> Inotify:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.fixture(params=SETTINGS)
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Probe]:
    """Each kind of watcher, started."""
    probe = Probe(tmp_path / "sentinel", setting=request.param)
    try:
        probe.start()
        yield probe
    finally:
        probe.stop()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Start a watcher with settings of one's own; it is stopped at the end."""
    probes: list[Probe] = []

    def start(**settings: Any) -> Probe:
        probes.append(Probe(tmp_path / f"sentinel{len(probes)}", **settings))
        probes[-1].start()
        return probes[-1]

    yield start
    for probe in probes:
        probe.stop()
