"""Many random changes by several writers while a router serves: always right, at rest too."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.watch import kernel
from tests.support import queue, soak
from tests.support.client import get
from tests.support.soak import Vhost, change_all
from tests.support.waiting import wait

HOSTS = 50
CLIENTS = 4
CHANGES = int(os.environ.get("VAN_SOAK_CHANGES", "250"))  # of each writer


@pytest.fixture
def vhosts(tmp_path: Path) -> Iterator[list[Vhost]]:
    with soak.vhosts(tmp_path, HOSTS) as made:
        yield made


def serve_meanwhile(vhosts: Sequence[Vhost], router: Router) -> None:
    def ask(chance: random.Random) -> None:
        vhost = chance.choice(vhosts)
        vhost.check(get(router.application, vhost.link.name))
        time.sleep(chance.random() / 500)

    # Pauses: else all that happens is one change.
    change_all(vhosts, CHANGES, pause=1 / 200, clients=[ask] * CLIENTS)


def come_to_rest(vhosts: Sequence[Vhost], router: Router) -> None:
    for vhost in vhosts:
        ask = partial(get, router.application, vhost.link.name)
        wait(
            lambda vhost=vhost, ask=ask: vhost.is_right(ask()),  # type: ignore[misc]
            f"{vhost.link.name} answers what stands there",
            tell=lambda vhost=vhost, ask=ask: f"{vhost.standing()!r}: {ask()}",  # type: ignore[misc]
        )


@pytest.mark.parametrize("watch", ["auto", "polling"])
def test_soak(vhosts: list[Vhost], make_router: Any, watch: str) -> None:
    router = make_router(watch=watch, sweep_interval=0, settle=0.02)
    serve_meanwhile(vhosts, router)
    come_to_rest(vhosts, router)


def test_soak_with_overflows(
    vhosts: list[Vhost], make_router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is held now and then; where root may, the kernel's queue is a small one too.

    It is held while each vhost changes a last time: no later event makes up for what was lost.
    """
    overflows = 0
    reading = threading.Event()
    reading.set()
    read = kernel.Inotify.read

    def late(self: kernel.Inotify) -> list[kernel.Event]:
        nonlocal overflows
        threading.Event().wait(random.choice((0, 0, 0.05)))
        reading.wait(20)
        events = read(self)
        overflows += sum(event.wd == -1 for event in events)
        return events

    monkeypatch.setattr(kernel.Inotify, "read", late)
    router = make_router(watch="inotify", sweep_interval=0, settle=0.02)
    with queue.short():
        get(router.application, vhosts[0].link.name)  # this makes the instance
    serve_meanwhile(vhosts, router)
    reading.clear()
    for vhost in vhosts:
        vhost.swap()
    reading.set()
    come_to_rest(vhosts, router)
    assert overflows or not queue.MAY_BE_SET
