"""In which order deploys go live when there are more than can be loaded at once."""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import get
from tests.support.vhosts import app, deploy, release
from tests.support.waiting import wait

SLOW = "import time\ntime.sleep(0.15)\n"


class Order(logging.Handler):
    """The hosts in the order in which their releases were replaced."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.hosts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = re.match(r"(\S+): reloaded .* -> ", record.getMessage())
        if found:
            self.hosts.append(found[1])


@pytest.fixture
def order() -> Any:
    logger, handler = logging.getLogger("mod_wsgi_van"), Order()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_first_come_first_loaded(tmp_path: Path, make_router: Any, order: Order) -> None:
    hosts = [f"h{number}.test" for number in range(40)]
    for host in hosts:
        deploy(tmp_path, host, release(tmp_path, host, 1, app("1")))
        release(tmp_path, host, 2, SLOW + app("2"))
    router = make_router()
    for host in hosts:
        assert get(router.application, host).body == "1"
    for host in hosts:
        deploy(tmp_path, host, tmp_path / f".builds/{host}/2")
    wait(lambda: len(order.hosts) == len(hosts), "all reloads")
    # A few are loaded at a time, and the batch in which their hints came has no order of its own.
    places = [abs(order.hosts.index(host) - place) for place, host in enumerate(hosts)]
    assert max(places) <= 8, order.hosts


def test_a_storm_at_one_site_does_not_delay_the_others(
    tmp_path: Path, make_router: Any, order: Order
) -> None:
    hosts = [f"h{number}.test" for number in range(12)]
    for host in hosts:
        deploy(tmp_path, host, release(tmp_path, host, 1, app("1")))
    for number in range(2, 40):
        release(tmp_path, "h0.test", number, SLOW + app(str(number)))
    for host in hosts[1:]:
        release(tmp_path, host, 2, SLOW + app("2"))
    router = make_router()
    for host in hosts:
        assert get(router.application, host).body == "1"
    stop = threading.Event()

    def storm() -> None:
        for number in range(2, 40):
            deploy(tmp_path, "h0.test", tmp_path / f".builds/h0.test/{number}")
            if stop.wait(0.05):
                return

    thread = threading.Thread(target=storm)
    thread.start()
    for host in hosts[1:]:
        deploy(tmp_path, host, tmp_path / f".builds/{host}/2")
    wait(lambda: len(set(order.hosts) - {"h0.test"}) == 11, "the others")
    stop.set()
    thread.join()
    assert order.hosts.count("h0.test") <= 6  # and not one for each of the others
