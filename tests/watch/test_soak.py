"""Many random changes by several writers: at rest, what was reported last is what is there."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version, measure
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.watch.inotify import InotifyWatcher
from mod_wsgi_van.watch.kernel import Event, Inotify
from tests.support import soak
from tests.support.soak import Vhost, change_all
from tests.support.waiting import wait
from tests.watch.conftest import MAKERS
from tests.watch.probe import Reports

HOSTS = 20
CHANGES = int(os.environ.get("VAN_SOAK_CHANGES", "1000"))  # of each writer


class Starved(Inotify):
    """Its reader pauses for a random while, until the queue has overflowed now and then."""

    overflows = 0

    def __init__(self) -> None:
        limit = Path("/proc/sys/fs/inotify/max_queued_events")
        before = limit.read_text()
        try:
            if os.geteuid() == 0:
                limit.write_text("64")  # applies to the instances made while it stands
            super().__init__()
        finally:
            if os.geteuid() == 0:
                limit.write_text(before)

    def read(self) -> list[Event]:
        threading.Event().wait(random.choice((0, 0, 0.01)))
        events = super().read()
        self.overflows += sum(event.wd == -1 for event in events)
        return events


def _soak(make: Callable[[Reports], Watcher], base: Path) -> None:
    with soak.vhosts(base, HOSTS) as vhosts:
        _change_and_compare(make, {vhost.link.name: vhost for vhost in vhosts})


def _change_and_compare(make: Callable[[Reports], Watcher], vhosts: dict[str, Vhost]) -> None:
    targets = {key: Target(str(vhost.wsgi)) for key, vhost in vhosts.items()}
    known: dict[str, Version | None] = {}
    looking = threading.Lock()

    def look(key: str) -> Version | None:
        try:
            return measure(targets[key], Ignore())
        except OSError:
            return None

    class Looking(Reports):
        def __call__(self, key: str) -> None:
            with looking:  # a watcher may report from more than one thread
                known[key] = look(key)

    watcher = make(Looking())
    watcher.start()
    try:
        for key, target in targets.items():
            watcher.add(key, target)
        change_all(list(vhosts.values()), CHANGES, harsh=True)
        for key in vhosts:
            wait(
                lambda key=key: key in known and known[key] == look(key),
                f"the last change of {key} is reported",
            )
    finally:
        watcher.stop()


@pytest.mark.parametrize("kind", MAKERS)
def test_soak(tmp_path: Path, kind: str) -> None:
    _soak(MAKERS[kind], tmp_path / "base")


def test_soak_with_overflows(tmp_path: Path) -> None:
    made: list[Starved] = []
    _soak(
        lambda stale: InotifyWatcher(
            stale, ignore=Ignore(), make=lambda: made.append(Starved()) or made[-1]
        ),
        tmp_path / "base",
    )
    if os.geteuid() == 0:
        assert made[0].overflows
