"""The Pythons of this machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

Version = tuple[int, int]

WORKERS: tuple[Version, ...] = tuple((3, minor) for minor in range(8, 15))


@functools.cache
def interpreter(version: Version) -> str | None:
    """The path of an interpreter of this version that runs, or None."""
    name = "python{}.{}".format(*version)
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates = [sys.executable, *map(str, sorted(pyenv.glob(f"*/bin/{name}"), reverse=True))]
    candidates += filter(None, [shutil.which(name), "/usr/bin/python3"])
    return next((path for path in candidates if _version_of(path) == version), None)


@functools.cache
def _version_of(path: str) -> Version | None:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        out = subprocess.run([path, "-c", code], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = out.split()
    return int(major), int(minor)
