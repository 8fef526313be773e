"""The same router behind servers that are not httpd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.load import Load
from integration.server.flavours import install_router
from integration.sites.libraries import FLASK2, FLASK3
from integration.sites.tree import Tree
from tests.support.connection import ask, free_port
from tests.support.environments import environment
from tests.support.places import open_directory
from tests.support.waiting import wait

GUNICORN = ["-m", "gunicorn", "--bind=127.0.0.1:{port}", "--workers=2", "--threads=8", "van"]
SERVERS = {
    "waitress": ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=8", "van:application"],
    "gunicorn": GUNICORN,
    "gunicorn --preload": [*GUNICORN, "--preload"],
}
HOSTS = ("one.domain.org", "two.domain.org")


@pytest.fixture
def directory() -> Iterator[Path]:
    with open_directory() as path:
        yield path


@pytest.fixture
def home(directory: Path) -> Path:
    """An environment with the servers and the router."""
    made = environment(sys.executable, ("gunicorn>=23", "waitress>=3", "watchdog>=7.1"))
    home = directory / "home"
    shutil.copytree(made, home, symlinks=True)
    install_router(home)
    return home


@pytest.mark.parametrize("server", SERVERS)
def test_it_serves_and_deploys(directory: Path, home: Path, server: str) -> None:
    tree = Tree(directory / "www")
    envs = [environment(sys.executable, libraries) for libraries in (FLASK2, FLASK3)]
    for host, env in zip(HOSTS, envs, strict=True):
        tree.deploy(host, "flask", 1, env=env)
    wsgi = (
        f'from mod_wsgi_van.router import Router\napplication = Router("{tree.base}").application\n'
    )
    (directory / "van.py").write_text(wsgi)
    port = free_port()
    command = [str(home / "bin/python"), *(part.format(port=port) for part in SERVERS[server])]
    log = directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        wait(lambda: _answers(port), f"{server} answers", tell=log.read_text)
        with Load(port, HOSTS) as load:
            load.wait_for(100)
            for number in range(2, 7):
                tree.deploy(HOSTS[0], "flask", number, env=envs[0])
                wait(
                    lambda wanted=number: _live(load, wanted),  # type: ignore[misc]
                    f"release {number} is live in every process",
                    tell=log.read_text,
                )
        assert not load.bad, load.bad[:5]
        assert [ask(port, host).json["library"] for host in HOSTS] == ["2.3.3", "3.1.2"]
        assert ask(port, "nobody.domain.org").status == 404
    finally:
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


def _answers(port: int) -> bool:
    try:
        return ask(port, HOSTS[0]).status == 200
    except OSError:
        return False


def _live(load: Load, number: int) -> bool:
    seen = [release for (host, _), release in load.newest.items() if host == HOSTS[0]]
    return bool(seen) and min(seen) == number
