"""The whole isolation matrix with worker processes, under every Python that is found here."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from mod_wsgi_van.isolation.contract import Instance, Source
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.settings import Settings
from tests.isolation import libraries
from tests.isolation.cells import CELLS, answers_alone, make_vhost
from tests.support.pythons import interpreter
from tests.support.threads import in_threads

THREADS = 8
OLDER = ((3, 8), (3, 9), (3, 10))
VERSIONS = [v for v in (*OLDER, *libraries.VERSIONS) if interpreter(v)]

# The newest that Python 3.8 and 3.9 have, beside an older one.
BEFORE_3_10 = {
    "one": "flask==2.3.3 werkzeug==2.3.8 jinja2==3.1.2 django==3.2.25 lxml==5.2.2"
    " cryptography==42.0.8 cffi==1.16.0 pydantic==2.8.2 pyyaml==6.0.1 sqlalchemy==1.4.54"
    " setuptools==69.5.1 numpy==1.23.5",
    "two": "flask==3.0.3 werkzeug==3.0.6 jinja2==3.1.6 django==4.2.16 lxml==5.3.0"
    " cryptography==43.0.3 cffi==1.17.1 pydantic==2.9.2 pyyaml==6.0.2 sqlalchemy==2.0.41"
    " setuptools==75.3.0 numpy==1.24.4",
}

# How Python 3.8 and 3.9 say what these cells say: (cell, as it is there, as it was before).
OLD_SPELLING = (
    (
        "metadata_entry_points",
        'metadata.entry_points(group="cells.things")',
        'set(metadata.entry_points()["cells.things"])',
    ),
    (
        "resources",
        'importlib.resources.files("package").joinpath("data.txt").read_text()',
        'importlib.resources.read_text("package", "data.txt")',
    ),
    (
        "resources",
        'importlib.resources.as_file(importlib.resources.files("package") / "data.txt")',
        'importlib.resources.path("package", "data.txt")',
    ),
    ("type_hints", '"Thing", module="things"', '"things.Thing"'),
)


def spell_as_before(source: Source) -> None:
    for cell, now, before in OLD_SPELLING:
        file = Path(source.directory, "cells", f"{cell}.py")
        file.write_text(file.read_text().replace(now, before))


@pytest.mark.parametrize("version", VERSIONS, ids=["{}.{}".format(*v) for v in VERSIONS])
def test_two_vhosts_eight_threads(
    version: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every thread asks all cells of both vhosts, each as answered in a process of its own."""
    if version < (3, 10):
        monkeypatch.setattr(libraries, "requirements", lambda name, _: BEFORE_3_10[name].split())
    sources = [make_vhost(tmp_path / name, name, version) for name in ("one", "two")]
    if version < (3, 10):
        for source in sources:
            spell_as_before(source)
    expected = [answers_alone(source, CELLS, 1) for source in sources]
    failures: dict[str, str] = {}
    isolation = ProcessIsolation(Settings(process_threads=THREADS))
    loaded = [isolation.load(source) for source in sources]

    def ask(vhost: Instance, cell: str) -> str:
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

    in_threads(THREADS, work)
    isolation.shutdown(5)
    assert failures == {}
