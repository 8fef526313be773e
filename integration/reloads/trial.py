"""Tries one library under one Python: what is installed, what is run, what is written down."""

from __future__ import annotations

import ast
import datetime
import itertools
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.tested import FITS, FITS_PURE, Trial, canonical, package, release
from tests.support.environments import environment, site_packages
from tests.support.places import PROJECT
from tests.support.sources import described

LIBRARIES = Path(__file__).parent / "libraries"
PATIENCE = 600  # seconds
UV = find_uv_bin()  # here: sysconfig is not for several threads

APP = """
import sys

{imports}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("{version}: " + {answer}).encode()]
"""
ALONE = "import app; print(b''.join(app.app({}, lambda *head: None)).decode())"


class Unusable(Exception):
    """A library cannot be tried: there is no wheel, or its use fails in plain Python."""


@dataclass(frozen=True)
class Python:
    """An interpreter, and the version that it says it has."""

    path: str
    version: str


def names() -> list[str]:
    return sorted(path.stem for path in LIBRARIES.glob("[a-z]*.py"))


def try_library(name: str, python: Python, times: int) -> list[Trial]:
    """Try every version; raises Unusable."""
    with tempfile.TemporaryDirectory(prefix="van-reloads-") as directory:
        sites = _sites(Path(directory), name, python)
        tried = [_alone(site, python, times) for site in sites]
        fit = [site for site, trial in tried if trial.fits]
        if fit:
            # The last two have the same environment, and so share the files of its modules.
            again = replace(fit[-1], path=_copy(fit[-1].path, "again"))
            found = _child(python, [fit[0], fit[-1], again])
            if found["why"]:
                return [_with_result(trial, found["why"]) for _, trial in tried]
        return [trial for _, trial in tried]


def _copy(path: Path, name: str) -> Path:
    return Path(shutil.copytree(path, path.with_name(name)))


@dataclass(frozen=True)
class _Site:
    path: Path
    venv: Path
    name: str  # of the distribution
    version: str
    expected: str
    pure: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        return Source(
            host=f"{self.path.name}.test",
            directory=str(self.path / "wsgi"),
            venv=str(self.venv),
            site_packages=(str(site_packages(self.venv)),),
            module_name="app",
            object_name="app",
            python=str(self.venv / "bin" / "python"),
            pure=self.pure,
        )


def _sites(directory: Path, name: str, python: Python) -> list[_Site]:
    """A site for the lowest and the newest version of each range that can be had."""
    docstring = ast.get_docstring(ast.parse((LIBRARIES / f"{name}.py").read_text())) or ""
    wanted = itertools.product(docstring.splitlines(), ("lowest-direct", "highest"))
    found: dict[str, _Site] = {}
    why = "no wheel of it can be installed"
    for number, (line, resolution) in enumerate(wanted):
        venv = directory / f"venv{number}"
        if _install(venv, python, line.split(), resolution):
            try:
                site = _site(directory / f"site{number}", name, venv)
                found.setdefault(site.version, site)
            except Unusable as error:
                why = str(error)
    if not found:
        raise Unusable(why)
    return sorted(found.values(), key=lambda site: release(site.version))


def _site(path: Path, name: str, venv: Path) -> _Site:
    distribution = name.replace("_", "-")
    version = _version(venv, distribution)
    wsgi = path / "wsgi"
    wsgi.mkdir(parents=True)
    shutil.copy(LIBRARIES / f"{name}.py", wsgi / "library.py")
    app = APP.format(imports="import library", version=version, answer="library.use()")
    (wsgi / "app.py").write_text(app)
    done = _run([str(venv / "bin" / "python"), "-c", ALONE], "", PYTHONPATH=str(wsgi))
    if done.returncode:
        raise Unusable(f"its use fails in plain Python: {done.stderr.strip()[-300:]}")
    return _Site(path, venv, distribution, version, done.stdout.splitlines()[-1])


def _version(venv: Path, distribution: str) -> str:
    for info in site_packages(venv).glob("*.dist-info"):
        name, _, version = info.stem.partition("-")
        if canonical(name) == distribution:
            return version
    raise Unusable(f"there is no distribution {distribution}")


def _alone(site: _Site, python: Python, times: int) -> tuple[_Site, Trial]:
    """Try one version; without its compiled part where it does not fit with it."""
    empty = site.path.with_name("empty")
    if not empty.exists():
        (empty / "wsgi").mkdir(parents=True)
        app = APP.format(imports="", version="", answer='""')
        (empty / "wsgi" / "app.py").write_text(app)
    nothing = replace(site, path=empty, expected="")
    known = _known(site.name)
    found = _child(python, [site, nothing], times=times)
    result = found["why"] or (
        f"changes the process: {known['PROCESS']}" if "PROCESS" in known else FITS
    )
    if found["why"] and "OPTIONAL" in known:
        pure = replace(site, pure=(package(site.name),))
        again = _child(python, [pure, nothing], times=times)
        if not again["why"]:
            site, found, result = pure, again, FITS_PURE
    return site, Trial(
        name=site.name,
        version=site.version,
        python=python.version,
        platform=f"{platform.system().lower()}-{platform.machine()}",
        date=datetime.date.today().isoformat(),
        reloads=times,
        kb=found.get("kb", 0),
        result=result,
    )


def _known(name: str) -> dict[str, str]:
    """What a module in ``libraries`` says of its library."""
    text = (LIBRARIES / f"{name.replace('-', '_')}.py").read_text()
    return dict(re.findall(r'^(PROCESS|OPTIONAL) = "(.*?)"', text, re.MULTILINE))


def _child(python: Python, sites: Sequence[_Site], **job: Any) -> Any:
    job["sources"] = [described(site.source) for site in sites]
    job["expected"] = [site.expected for site in sites]
    daemon = environment(python.path, ["watchdog>=7.1"])
    path = os.pathsep.join([str(PROJECT), str(site_packages(daemon))])
    command = [python.path, "-W", "ignore", "-m", "integration.reloads.child"]
    done = _run(command, json.dumps(job), PYTHONPATH=path)
    if done.returncode < 0:
        return {"why": f"ends the process by {signal.Signals(-done.returncode).name}"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        if "Timeout (" in done.stderr:
            return {"why": "hangs"}
        return {"why": f"ends the process with status {done.returncode} {' '.join(last)[:100]}"}
    found = json.loads(done.stdout.splitlines()[-1])
    found["why"] = " ".join(found["why"].split())[:200]
    return found


def _with_result(trial: Trial, result: str) -> Trial:
    return replace(trial, result=result) if trial.fits else trial


def _install(venv: Path, python: Python, requirements: list[str], resolution: str) -> bool:
    # Copied, not linked: environments that share inodes share their extension modules too.
    made = _run([UV, "venv", "--quiet", "--python", python.path, str(venv)], "")
    command = [UV, "pip", "install", "--link-mode", "copy", "--no-build"]
    command += ["--resolution", resolution, "--python", str(venv / "bin" / "python")]
    done = _run([*command, *requirements], "")
    return not made.returncode and not done.returncode


def _run(command: list[str], stdin: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not re.match("PYTHON|VIRTUAL_ENV", k)}
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=kept | more,
    )
