"""Reloading what is large or compiled: what 1.0.0 could not do, or paid for with memory."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from integration import comparison
from integration.conftest import Serve
from integration.server.flavours import DEBIAN, Flavour
from integration.server.httpd import daemons
from integration.server.running import Running
from integration.sites.libraries import DJANGO5, NUMPY2
from tests.support.environments import environment
from tests.support.memory import resident
from tests.support.waiting import wait

HOST = "one.domain.org"

# The libraries are the same under each mod_wsgi.
only_once = pytest.mark.parametrize("flavour", [DEBIAN], indirect=True)


def deploy_and_wait(running: Running, application: str, release: int, env: Path) -> None:
    running.tree.deploy(HOST, application, release, env=env)

    def live() -> bool:
        answer = running.ask(HOST)
        assert answer.status == 200, running.httpd.log()[-10_000:]
        return bool(answer.json["seen"][0][1] == str(release))

    wait(live, f"release {release}", tell=running.httpd.log)


@only_once
def test_memory_over_60_reloads_of_django(serve: Serve, flavour: Flavour) -> None:
    running = serve("daemon")
    env = environment(flavour.python, DJANGO5)
    sizes = []
    for release in range(1, 62):
        deploy_and_wait(running, "django", release, env)
        sizes.append(resident(daemons(running.httpd)[0]) / (1 << 20))
    said = f"{sizes[0]:.0f} MB -> {sizes[-1]:.0f} MB"
    comparison.record("memory over 60 reloads of Django 5.2", f"{flavour.name} daemon", said)
    assert median(sizes[-10:]) <= 1.5 * median(sizes[5:15]), sizes


@only_once
def test_numpy_2_is_deployed_again_and_again(serve: Serve, flavour: Flavour) -> None:
    running = serve("daemon")
    env = environment(flavour.python, NUMPY2)
    for release in range(1, 5):
        deploy_and_wait(running, "numeric", release, env)
        assert running.ask(HOST).json["total"] == 45
    assert not running.httpd.lines("VAN002"), running.httpd.log()
    where = f"{flavour.name} daemon, isolation=auto"
    comparison.record("numpy 2", where, "3 redeploys, each live")
