"""The watchers under test."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.watch.auto import Auto
from mod_wsgi_van.watch.inotify import InotifyWatcher
from mod_wsgi_van.watch.kernel import Inotify
from mod_wsgi_van.watch.polling import Polling
from tests.watch.probe import Probe, Reports

INTERVAL = 0.02


def no_inotify() -> Inotify:
    raise OSError(errno.ENOSYS, "Function not implemented")


def _inotify(stale: Reports) -> Watcher:
    return InotifyWatcher(stale, ignore=Ignore())


def _polling(stale: Reports) -> Watcher:
    return Polling(stale, ignore=Ignore(), update_interval=INTERVAL, share=10.0)


def _auto(stale: Reports) -> Watcher:
    return Auto(stale, ignore=Ignore(), update_interval=INTERVAL)


MAKERS = {"inotify": _inotify, "polling": _polling, "auto": _auto}


@pytest.fixture(params=MAKERS)
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Probe]:
    """Each kind of watcher, started."""
    probe = Probe(MAKERS[request.param], tmp_path / "sentinel")
    probe.start()
    yield probe
    probe.watcher.stop()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[Callable[[Reports], Watcher]], Probe]]:
    """Start a watcher of one's own; it is stopped at the end."""
    probes: list[Probe] = []

    def start(make: Callable[[Reports], Watcher]) -> Probe:
        probes.append(Probe(make, tmp_path / f"sentinel{len(probes)}"))
        probes[-1].start()
        return probes[-1]

    yield start
    for probe in probes:
        probe.watcher.stop()
