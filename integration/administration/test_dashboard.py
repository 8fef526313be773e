"""The dashboard of real daemon processes, in a real browser where there is one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator

import pytest

from integration.conftest import Serve
from mod_wsgi_van.cli.dashboard.observer import Observer
from mod_wsgi_van.cli.dashboard.server import DashboardServer
from tests.support.chromium import PROGRAM, Chromium
from tests.support.connection import ask
from tests.support.places import open_directory
from tests.support.waiting import wait

HOST = "one.domain.org"


@pytest.fixture
def dashboard() -> Iterator[DashboardServer]:
    with open_directory() as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, "www-data", "www-data")
        with DashboardServer("127.0.0.1:0", Observer(str(directory))) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            yield server
            server.shutdown()
            thread.join()


@pytest.fixture
def page(dashboard: DashboardServer) -> Iterator[Chromium]:
    if not PROGRAM and os.environ.get("CI") != "true":
        pytest.skip("there is no chromium (apt install chromium)")
    with open_directory() as profile:
        browser = Chromium(profile)
        browser.open(dashboard.url)
        yield browser
        browser.close()
        assert browser.faults == []


def settings(dashboard: DashboardServer) -> str:
    return f'status_directory="{dashboard.observer.directory}"'


def metric(dashboard: DashboardServer, name: str) -> float | None:
    dashboard.observer.look(0)
    body = ask(dashboard.server_port, "localhost", "/metrics").body
    found = re.search(rf"^{re.escape(name)} (\S+)$", body, re.MULTILINE)
    return float(found[1]) if found else None


def test_the_page_shows_what_the_daemon_does(
    serve: Serve, dashboard: DashboardServer, page: Chromium
) -> None:
    page.wait_for("#obstacle", "No process of the daemon answers.")
    running = serve("daemon", settings=settings(dashboard))
    running.tree.deploy(HOST, "trivial", 1)
    assert running.ask(HOST).status == 200
    page.wait_for("#verdict", "The one site is well.")
    page.wait_for("#log", f"{HOST} is live with ")
    running.tree.deploy(HOST, "broken", 2)
    page.wait_for("#verdict", "All is served; 1 deploy did not go live.")
    page.js("document.querySelector('#rows a').click()")
    page.wait_for("#detail", "Failure VAN002")
    running.tree.deploy(HOST, "trivial", 3)
    page.wait_for("#verdict", "The one site is well.")
    page.wait_for("#detail", "Last failure VAN002")


def test_counters_go_on_when_apache_ends_a_process(
    serve: Serve, dashboard: DashboardServer
) -> None:
    running = serve("workers", settings=settings(dashboard))
    running.tree.deploy(HOST, "trivial", 1)
    name = f'van_requests_total{{site="{HOST}"}}'
    for _ in range(3):
        assert running.ask(HOST).status == 200
    wait(lambda: metric(dashboard, name) == 3, "three requests", tell=running.httpd.log)
    assert ask(dashboard.server_port, "localhost", "/ready").status == 200
    running.httpd.signal_and_wait(signal.SIGUSR1)
    wait(lambda: not dashboard.observer.look(0).told, "the process is gone")
    assert ask(dashboard.server_port, "localhost", "/ready").status == 503
    assert metric(dashboard, name) == 3
    assert running.ask(HOST).status == 200
    wait(lambda: metric(dashboard, name) == 4, "the fourth request", tell=running.httpd.log)
    assert metric(dashboard, f'van_worker_private_bytes{{site="{HOST}"}}') != 0
