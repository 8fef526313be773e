"""The builds of mod_wsgi that are tested, each with the environment that its daemon runs in."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from integration.server.programs import system_python
from tests.support.environments import environment, site_packages
from tests.support.places import PROJECT

MODULES = Path("/usr/lib/apache2/modules")
DEPENDENCIES = ("watchdog>=7.1",)


def _packaged() -> str:
    """The version of Debian's package, without Debian's own part of the number."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", "libapache2-mod-wsgi-py3"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "Debian"
    return found.partition("-")[0]


DEBIAN = _packaged()
PYPI = "6.1.1"  # is built here
NAMES = (DEBIAN, PYPI)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One mod_wsgi: its shared object and a daemon environment that holds the router."""

    name: str
    module: Path
    home: Path
    python: str


def missing(name: str) -> str:
    """What this machine lacks for the flavour, "" when nothing."""
    check = [system_python(), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if subprocess.run(check).returncode:
        return f"{system_python()}, which mod_wsgi is built for, is older than Python 3.11"
    if not (MODULES / "mod_vhost_alias.so").exists():
        return f"no Apache modules in {MODULES} (apt install apache2)"
    if name == DEBIAN and not (MODULES / "mod_wsgi.so").exists():
        return "no mod_wsgi.so (apt install libapache2-mod-wsgi-py3)"
    if name == PYPI and not (shutil.which("apxs") or shutil.which("apxs2")):
        return "no apxs to build mod_wsgi with (apt install apache2-dev python3-dev)"
    return ""


def flavour(name: str, directory: Path) -> Flavour:
    """The flavour, its daemon environment with a fresh copy of the router at ``directory``."""
    python = system_python()
    home = directory / "home"
    shutil.copytree(environment(python, DEPENDENCIES), home, symlinks=True)
    install_router(home)
    return Flavour(name, _module(name, python), home, python)


def install_router(home: Path) -> None:
    """Copy the working tree's package into an environment."""
    target = site_packages(home) / "mod_wsgi_van"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "mod_wsgi_van", target, ignore=ignore)


def _module(name: str, python: str) -> Path:
    return MODULES / "mod_wsgi.so" if name == DEBIAN else built(name, python)


def built(version: str, python: str) -> Path:
    """The shared object of a mod_wsgi from PyPI, compiled here."""
    home = environment(python, (), from_source=(f"mod_wsgi=={version}",))
    (module,) = site_packages(home).glob("mod_wsgi/server/mod_wsgi-*.so")
    return module
