"""Many random changes by several writers: at rest, what was seen last is what is there."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

from mod_wsgi_van.files.version import Version, measure
from mod_wsgi_van.watch.kernel import Event, Inotify
from tests.support import queue, soak
from tests.support.soak import Vhost, change_all
from tests.support.waiting import wait
from tests.watch.conftest import Opened
from tests.watch.probe import IGNORE, Probe

HOSTS = 20
CHANGES = int(os.environ.get("VAN_SOAK_CHANGES", "1000"))  # of each writer


class Starved(Inotify):
    """Its reader pauses until the queue has overflowed, and for random whiles after that."""

    overflows = 0

    def __init__(self) -> None:
        with queue.short():
            super().__init__()

    def read(self) -> list[Event]:
        threading.Event().wait(random.choice((0, 0, 0.01)) if self.overflows else 0.2)
        events = super().read()
        self.overflows += sum(event.wd == -1 for event in events)
        return events


def _soak(probe: Probe, base: Path) -> None:
    with soak.vhosts(base, HOSTS) as vhosts:
        for vhost in vhosts:
            probe.add(vhost.link.name, vhost.wsgi, settle=False)
        change_all(vhosts, CHANGES, harsh=True)
        for vhost in vhosts:
            wait(
                lambda vhost=vhost: _seen(probe, vhost) == _there(probe, vhost),
                f"the last change of {vhost.link.name} is seen",
            )


def _seen(probe: Probe, vhost: Vhost) -> object:
    state = probe.sites_by_key[vhost.link.name].state
    return state.version if state is not None else None


def _there(probe: Probe, vhost: Vhost) -> Version | None:
    try:
        return measure(probe.targets[Path("/", vhost.link.name)], IGNORE)
    except OSError:
        return None


def test_soak(probe: Probe, tmp_path: Path) -> None:
    _soak(probe, tmp_path / "base")


def test_soak_with_overflows(opened: Opened, tmp_path: Path) -> None:
    made: list[Starved] = []
    probe = opened(setting="inotify", make=lambda: made.append(Starved()) or made[-1])
    _soak(probe, tmp_path / "base")
    assert made[0].overflows or not queue.MAY_BE_SET
