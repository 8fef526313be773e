"""Maintenance under load: at once, for one site alone, in all processes, across restarts."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from integration import comparison
from integration.conftest import Serve
from integration.load import Load
from integration.server.flavours import Flavour
from integration.server.running import Running
from mod_wsgi_van.files.target import mark
from tests.support.connection import Connection
from tests.support.waiting import wait

HOST = "one.domain.org"
SECOND = "two.domain.org"
PAGE = "<p>back soon</p>"


class Clients:
    """Ask for HOST without a pause; ``answers`` counts what came."""

    def __init__(self, port: int, count: int = 4) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = Connection(self._port)
        while not self._ended.is_set():
            answer = connection.ask(HOST)
            said = answer.json["load"] if answer.status == 200 else answer.body
            self.answers[answer.status, said] += 1
        connection.close()


def status_after(running: Running, wanted: int) -> float:
    """The seconds until HOST answered with that status."""
    connection, start = Connection(running.port), time.perf_counter()
    try:
        wait(lambda: connection.ask(HOST).status == wanted, f"{wanted}", pause=0)
        return time.perf_counter() - start
    finally:
        connection.close()


def prepared(running: Running) -> Path:
    """Two sites that are loaded; returns the mark of HOST, which does not exist."""
    for host in (HOST, SECOND):
        running.tree.deploy(host, "plain", 0)
        assert running.ask(host).status == 200
    (running.layout.base / HOST / "maintenance.html").write_text(PAGE)
    file = Path(mark(running.layout.base / HOST))
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize("watch", ["inotify", "polling"])
def test_on_and_off_under_load(serve: Serve, flavour: Flavour, mode: str, watch: str) -> None:
    running = serve(mode, settings=f'watch="{watch}", update_interval=0.1')
    file, taken = prepared(running), []
    with Load(running.port, [SECOND] * 4) as load, Clients(running.port) as clients:
        load.wait_for(20)
        for _ in range(10 if watch == "inotify" else 3):
            file.touch()
            taken.append(status_after(running, 503) * 1000)
            load.wait_for(10)
            file.unlink()
            taken.append(status_after(running, 200) * 1000)
            load.wait_for(10)
    assert load.bad == []
    pages = {said for status, said in clients.answers if status == 503}
    loads = {said for status, said in clients.answers if status == 200}
    assert pages == {PAGE} and {status for status, _ in clients.answers} == {200, 503}
    assert len(loads) == 1  # nothing was loaded again
    on, off = running.httpd.lines("maintenance on: "), running.httpd.lines("maintenance off")
    assert len(on) == len(off) == len(taken) / 2
    if watch == "inotify":
        text = f"median {median(taken):.1f} ms, max {max(taken):.1f} ms"
        comparison.record("maintenance on or off", f"{flavour.name} {mode}", text)


def test_it_holds_in_all_processes_and_across_restarts(serve: Serve) -> None:
    running = serve("daemon", changes=(("processes=1", "processes=3"),))
    file = prepared(running)
    for _ in range(50):
        assert running.ask(HOST).status == 200
    file.touch()
    with Load(running.port, [SECOND] * 4) as load:
        load.wait_for(20)
        status_after(running, 503)
        # Each process has to answer so from now on; which one is asked is chance.
        wait(lambda: all(running.ask(HOST).status == 503 for _ in range(50)), "503 of all")
        number = running.tree.build(HOST, "plain", 1)
        running.tree.swap(HOST, number)
        assert all(running.ask(HOST).status == 503 for _ in range(50))
        assert running.ask(HOST, method="HEAD").content == b""
    assert load.bad == []
    running.httpd.signal_and_wait(signal.SIGHUP)
    assert {running.ask(HOST).status for _ in range(50)} == {503}
    file.unlink()
    wait(lambda: all(running.ask(HOST).status == 200 for _ in range(50)), "200 of all")
    assert running.ask(HOST).json["seen"][0][1] == "1"
