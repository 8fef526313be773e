"""The whole isolation matrix with worker processes, under every Python that is found here."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random

import pytest

from mod_wsgi_van.isolation.contract import Loaded
from mod_wsgi_van.isolation.process import ProcessIsolation, ProcessSettings

from .. import environments
from ..cells import CELLS, answers_alone, make_vhost

THREADS = 8
VERSIONS = [version for version in environments.VERSIONS if environments.interpreter(version)]


@pytest.mark.parametrize("version", VERSIONS, ids=["{}.{}".format(*v) for v in VERSIONS])
def test_two_vhosts_eight_threads(version: tuple[int, int], tmp_path: Path) -> None:
    """Every thread asks all cells of both vhosts, each as answered in a process of its own."""
    sources = [make_vhost(tmp_path / name, name, version) for name in ("one", "two")]
    expected = [answers_alone(source, CELLS, 1) for source in sources]
    failures: dict[str, str] = {}
    isolation = ProcessIsolation(ProcessSettings(process_threads=THREADS))
    loaded = [isolation.load(source) for source in sources]

    def ask(vhost: Loaded, cell: str) -> str:
        environ = {"PATH_INFO": f"/{cell}", "QUERY_STRING": "0", "REQUEST_METHOD": "GET"}
        return b"".join(vhost.application(environ, lambda *args: None)).decode()

    def work(number: int) -> None:
        order = Random(number)
        for cell in order.sample(CELLS, len(CELLS)):
            for vhost in (number % 2, (number + 1) % 2):
                try:
                    answer = ask(loaded[vhost], cell)
                except Exception as error:
                    answer = str(error)
                if [answer] != expected[vhost][cell]:
                    failures[cell] = f"{answer!r} instead of {expected[vhost][cell]!r}"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    isolation.shutdown()
    assert len(CELLS) == 35 and failures == {}
