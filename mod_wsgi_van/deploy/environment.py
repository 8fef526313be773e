"""The environment of a release, made from what the release says that it needs.

An environment is kept below ``environments`` by a digest of what it was made from, and a release's
``.venv`` is a link to it. So a release that needs the same has it in no time. Two releases may
share one: which libraries may be loaded twice from one environment, and which need a worker, the
daemon decides as for a reload of the same files.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van.deploy import programs
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home, point
from mod_wsgi_van.isolation.environment import base_python

FILES = ("uv.lock", "pylock.toml", "requirements.txt", "pyproject.toml")
_WHOLE = ".whole"  # a file in an environment, written last
_INSTALLS = 1800.0  # seconds
_ASKS = 30.0
_SIZE = 16 << 20  # bytes of a file that says what is needed
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)", re.MULTILINE)
_OWN = re.compile(r"^\s*(?:-e|--editable)\b|^\s*\.{0,2}/|^\s*\.\s*(?:\[|$)|\bfile:", re.MULTILINE)
_OWN_LOCKED = re.compile(r"^source = \{ (?:directory|editable|path) = \"(?!\.\")", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Needs:
    """``file``: that which says what is needed; ``own``: a part of the release is installed."""

    file: str
    text: bytes
    own: bool


def needs(release: Path) -> Needs | None:
    """What a release needs, None where it says nothing."""
    file = next((name for name in FILES if (release / name).is_file()), "")
    if not file:
        return None
    project = _project(release)
    if file == "pyproject.toml" and not _packaged(project) and "project" not in project:
        return None  # settings of tools
    if file == "requirements.txt":
        texts = list(_included(release, file, set()))
        return Needs(file, b"\0".join(texts), any(_OWN.search(text.decode()) for text in texts))
    text = _read(release / file)
    own = _packaged(project) if file != "pylock.toml" else False
    own = own or bool(_OWN_LOCKED.search(text.decode("utf-8", "replace")))
    if file == "uv.lock":
        text += _read(release / "pyproject.toml")
    return Needs(file, text, own)


def _project(release: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(release / "pyproject.toml").decode())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DeployFailed(f"pyproject.toml: {error}") from error


def _packaged(project: dict[str, Any]) -> bool:
    """Whether the project is a package, which is then installed as uv would do it."""
    return "build-system" in project


def _included(release: Path, name: str, seen: set[Path]) -> Iterator[bytes]:
    path = Path(os.path.realpath(release / name))
    if path in seen or not path.is_relative_to(os.path.realpath(release)):
        return
    seen.add(path)
    try:
        text = _read(path)
    except FileNotFoundError:
        return  # who installs it says so
    yield text
    for other in _INCLUDE.findall(text.decode("utf-8", "replace")):
        yield from _included(release, str(path.parent / other), seen)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_SIZE + 1)
    if len(data) > _SIZE:
        raise DeployFailed(f"{path.name} has more than {_SIZE:,} bytes")
    return data


@dataclass(frozen=True, slots=True)
class Environments:
    """Those of one site; ``uv`` is the path of that program, or "". All of it runs as its owner."""

    home: Home
    venv_name: str
    uv: str

    def give(self, id: str) -> str:
        """Give a release the environment that it needs; returns what people want to know."""
        release = self.home.release(id)
        link = release / self.venv_name
        needed = needs(release)
        if needed is None:
            return f"none: there is none of {', '.join(FILES)}"
        python = self._python(release)
        version = self._run([python, "-I", "-c", "import sys; print(sys.version)"], release, _ASKS)
        parts = [needed.file, self.uv and "uv", python, version, id if needed.own else ""]
        digest = hashlib.sha256("\0".join(parts).encode() + b"\0" + needed.text).hexdigest()[:16]
        made = self.home.environments / digest
        reused = (made / _WHOLE).exists()
        if not reused:
            shutil.rmtree(made, ignore_errors=True)  # what a killed deploy has left
            self.home.environments.mkdir(exist_ok=True)
            self._make(made, release, needed, python)
            (made / _WHOLE).touch()
        link.parent.mkdir(parents=True, exist_ok=True)
        point(link, os.path.relpath(made, link.parent))
        return (
            f"{'reused' if reused else 'made'} from {needed.file} with {'uv' if self.uv else 'pip'}"
        )

    def _run(self, command: list[str], where: Path, seconds: float, **further: str) -> str:
        return programs.run(command, where, programs.environ(self.home.path, **further), seconds)

    def _python(self, release: Path) -> str:
        """The interpreter that .python-version asks for, else the daemon's."""
        wanted = ""
        if (file := release / ".python-version").is_file():
            wanted = _read(file).decode("utf-8", "replace").strip().partition("\n")[0]
        if not wanted:
            return daemons_python()
        if self.uv:
            find = [self.uv, "python", "find", "--no-python-downloads", "--system", wanted]
            return self._run(find, Path("/"), _ASKS).splitlines()[-1]
        found = shutil.which(f"python{'.'.join(wanted.split('.')[:2])}")
        if not found:
            raise DeployFailed(f".python-version asks for Python {wanted}, which is not installed")
        return found

    def _make(self, made: Path, release: Path, needed: Needs, python: str) -> None:
        file, its, uv = needed.file, str(made / "bin/python"), self.uv
        if file in ("uv.lock", "pylock.toml") and not uv:
            raise DeployFailed(f"{file} needs uv: pip install uv, or have a requirements.txt")
        if file == "uv.lock":
            options = ["--frozen", "--no-dev", "--no-editable", "--python", python]
            options += [] if needed.own else ["--no-install-project"]
            sync = [uv, "sync", "--quiet", *_UV, *options]
            self._run(sync, release, _INSTALLS, UV_PROJECT_ENVIRONMENT=str(made))
            return
        if uv:
            self._run([uv, "venv", "--quiet", "--python", python, str(made)], release, _INSTALLS)
            install = [uv, "pip", "install", "--quiet", *_UV, "--python", its]
        else:
            self._run([python, "-m", "venv", str(made)], release, _INSTALLS)
            install = [its, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if file != "pyproject.toml":
            what = ["-r", file]
        elif needed.own:
            what = ["."]
        else:
            what = _project(release)["project"].get("dependencies", [])
        if what:
            self._run([*install, *what], release, _INSTALLS)

    def prune(self, kept: list[str]) -> None:
        """Remove what no release of ``kept`` leads to."""
        used = {os.path.realpath(self.home.release(id) / self.venv_name) for id in kept}
        top = os.path.realpath(self.home.environments)
        for name in os.listdir(top) if os.path.isdir(top) else ():
            if (path := os.path.join(top, name)) not in used:
                Path(path, _WHOLE).unlink(missing_ok=True)
                shutil.rmtree(path, ignore_errors=True)


# Copied, not linked: environments that share inodes with a cache share their extension modules.
_UV = ("--link-mode", "copy", "--compile-bytecode", "--no-python-downloads")


def find_uv() -> str:
    """The path of uv, on PATH or beside this interpreter; "" where there is none to be run."""
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    return shutil.which("uv") or (beside if os.access(beside, os.X_OK) else "")


def daemons_python() -> str:
    """The interpreter of the daemon, or where this user may not run that one, the system's."""
    ours = [base_python(), shutil.which("python3") or "", "/usr/bin/python3"]
    return next((each for each in ours if each and os.access(each, os.X_OK)), sys.executable)
