"""Virtual environments for daemons and vhosts, made once and kept below the build directory."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from uv import find_uv_bin

from tests.support.places import BUILD


def environment(
    python: str, requirements: Sequence[str], *, from_source: Sequence[str] = ()
) -> Path:
    """An environment of ``python`` with ``requirements``; ``from_source`` is compiled anew.

    pip's and uv's caches keep a compiled wheel without knowing which httpd or Python it was
    compiled against, so what is given in ``from_source`` never comes from a cache.
    """
    key = "\n".join([_identity(python), *requirements, *from_source])
    path = BUILD / f"env-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with _locked(path):
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            _make(path, python, requirements, from_source)
            (path / "complete").write_text(key)
    return path


@functools.cache
def _identity(python: str) -> str:
    code = "import sys; print(sys.version, sys.base_prefix)"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout


def _make(path: Path, python: str, requirements: Sequence[str], from_source: Sequence[str]) -> None:
    _uv("venv", "--python", python, str(path))
    # Copied, not linked: environments that share inodes share their extension modules too.
    install = ("pip", "install", "--link-mode", "copy", "--python", str(path / "bin/python"))
    if requirements:
        _uv(*install, *requirements)
    if from_source:
        _uv(*install, "--no-cache", *from_source)


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [find_uv_bin(), "--quiet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "VIRTUAL_ENV": ""},
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(arguments)} failed:\n{done.stdout}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def site_packages(env: Path) -> Path:
    """The one site-packages directory of an environment."""
    (found,) = env.glob("lib/python3*/site-packages")
    return found
