"""Real environments with real libraries, made once with uv and kept below the project's .build."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".build" / "isolation"


def _listed(packages: str) -> list[str]:
    return packages.split()


# Two vhosts' libraries, in versions that differ; Python 3.13 has no wheels of some older ones.
ONE = _listed(
    "flask==2.3.3 werkzeug==2.3.8 jinja2==3.1.2 django==4.2.16 lxml==5.3.0 cryptography==43.0.3"
    " cffi==1.17.1 pydantic==2.9.2 pyyaml==6.0.2 sqlalchemy==1.4.54 setuptools==69.5.1"
)
TWO = _listed(
    "flask==3.1.1 werkzeug==3.1.3 jinja2==3.1.6 django==5.2.4 lxml==6.0.0 cryptography==45.0.5"
    " cffi==2.0.0 pydantic==2.11.7 pyyaml==6.0.3 sqlalchemy==2.0.41 setuptools==75.8.0"
)
NUMPY = {"one": ("numpy==1.26.4", "numpy==2.1.3"), "two": ("numpy==2.2.6", "numpy==2.2.6")}
VERSIONS = ((3, 11), (3, 12), (3, 13))


def requirements(name: str, version: tuple[int, int]) -> list[str]:
    """What the vhost ``name`` ("one" or "two") has installed under this Python."""
    older, newer = NUMPY[name]
    return [*(ONE if name == "one" else TWO), newer if version >= (3, 13) else older]


@functools.cache
def interpreter(version: tuple[int, int]) -> str | None:
    """The path of an interpreter of this version that runs, or None."""
    name = "python{}.{}".format(*version)
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates = [sys.executable, *map(str, sorted(pyenv.glob(f"*/bin/{name}"), reverse=True))]
    candidates += filter(None, [shutil.which(name), "/usr/bin/python3"])
    return next((path for path in candidates if _version_of(path) == version), None)


@functools.cache
def _version_of(path: str) -> tuple[int, int] | None:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        out = subprocess.run([path, "-c", code], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = out.split()
    return int(major), int(minor)


def environment(python: str, packages: list[str]) -> Path:
    """The path of an environment with ``packages``; made when there is none with them yet.

    Copied, not linked: environments that share inodes share their extension modules too.
    """
    key = hashlib.sha256(json.dumps([os.path.realpath(python), packages]).encode()).hexdigest()[:16]
    path = KEPT / f"env-{key}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path / ".complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            _uv("venv", "-q", "--python", python, str(path))
            install = ("pip", "install", "-q", "--link-mode", "copy", "--python")
            _uv(*install, str(path / "bin" / "python"), *packages)
            (path / ".complete").touch()
    return path


def site_packages(environment: Path) -> str:
    (found,) = environment.glob("lib/python*/site-packages")
    return str(found.resolve())


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
