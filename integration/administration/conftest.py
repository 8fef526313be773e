"""A machine with Apache, the command as the README installs it, and setup on that machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from integration.server.machine import Machine, machine
from integration.server.programs import system_python
from tests.support.places import PROJECT, open_directory

Setup = Callable[..., str]


@pytest.fixture(scope="session")
def command() -> Iterator[Path]:
    """The command of an installed package, as the README installs it."""
    with open_directory() as directory:
        home = directory / "home"
        install = ("pip", "install", "--refresh-package=mod-wsgi-van", "--python")
        for step in (
            ("venv", "--python", system_python(), home),
            (*install, home / "bin/python", PROJECT),
        ):
            subprocess.run([find_uv_bin(), "--quiet", *step], check=True, timeout=300)
        yield home / "bin/mod-wsgi-van"


@pytest.fixture
def bare() -> Iterator[Machine]:
    with machine() as running:
        yield running


@pytest.fixture
def setup(bare: Machine, command: Path) -> Setup:
    """Run setup for domain.org with further options; what it prints, its status is checked."""

    def run(*options: str, status: int = 0) -> str:
        done = bare.run(command, "setup", "--domain", "domain.org", *options)
        assert done.returncode == status, done.stdout
        return done.stdout

    return run
