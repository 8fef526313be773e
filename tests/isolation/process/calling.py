"""The site of these tests, and the scripts and Pythons that its workers are started with."""

from __future__ import annotations

import stat
import sys
import textwrap
from pathlib import Path

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.wsgi import Application
from tests.support.client import ask
from tests.support.pythons import WORKERS, interpreter

SITE = Path(__file__).parent / "site"
PYTHONS = {"{}.{}".format(*version): path for version in WORKERS if (path := interpreter(version))}


def source(directory: Path = SITE, python: str = sys.executable, host: str = "a.test") -> Source:
    return Source(
        host=host,
        directory=str(directory / "wsgi"),
        venv=str(directory / ".venv"),
        site_packages=(),
        module_name="app",
        object_name="app",
        python=python,
    )


def vhost(directory: Path, text: str) -> Path:
    (directory / "wsgi").mkdir(parents=True)
    (directory / "wsgi" / "app.py").write_text(textwrap.dedent(text))
    return directory


def pid_of(application: Application) -> int:
    pid: int = ask(application, "about").json["pid"]
    return pid


def make_script(path: Path, text: str) -> str:
    path.write_text(textwrap.dedent(text))
    path.chmod(stat.S_IRWXU)
    return str(path)
