"""Two vhosts with modules of the same names, 8 connections: nobody sees the other's code."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from integration import comparison
from integration.conftest import Serve
from integration.load import Load
from integration.server.flavours import Flavour
from integration.sites.libraries import DJANGO4, DJANGO5, FLASK2, FLASK3
from tests.support.environments import environment


@dataclass(frozen=True, slots=True)
class Pair:
    """The application that both vhosts serve, and the libraries of each one's environment."""

    row: str
    application: str
    libraries: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    versions: tuple[str, str] | None = None


PAIRS = (
    Pair("plain", "plain"),
    Pair("2 ms of work", "working"),
    Pair("lazy import_module", "lazy"),
    Pair("pickle", "pickling"),
    Pair("Flask 2 + Flask 3", "flask", (FLASK2, FLASK3), ("2.3.3", "3.1.2")),
    Pair("Django 4 + Django 5", "django", (DJANGO4, DJANGO5), ("4.2.16", "5.2.8")),
)

HOSTS = ("one.domain.org", "two.domain.org")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.row)
def test_no_answer_comes_from_the_other_vhost(
    serve: Serve, flavour: Flavour, mode: str, pair: Pair
) -> None:
    running = serve(mode)
    for index, host in enumerate(HOSTS):
        env = environment(flavour.python, pair.libraries[index]) if pair.libraries else None
        running.tree.deploy(host, pair.application, env=env)
    with Load(running.port, HOSTS) as load:
        load.wait_for(400)
    row = f"same-named modules: {pair.row}"
    comparison.record(row, f"{flavour.name} {mode}", f"{len(load.bad)} bad of {load.total} answers")
    assert not load.bad, load.bad[:5]
    assert len(load.loads) == len(HOSTS)
    if pair.versions:
        assert tuple(running.ask(host).json["library"] for host in HOSTS) == pair.versions
