"""Where things are: the project, what tests build once, directories that httpd's user can enter."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def readable_by_all(path: Path) -> bool:
    """Whether another user, as the daemon process is, can reach ``path``."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


def _build_directory() -> Path:
    inside = PROJECT / ".build"
    inside.mkdir(mode=0o755, exist_ok=True)
    if os.geteuid() != 0 or readable_by_all(inside):
        return inside
    # Started as root, httpd's processes run as www-data, who cannot enter root's home.
    outside = Path(tempfile.gettempdir()) / "mod_wsgi_van-build"
    outside.mkdir(mode=0o755, exist_ok=True)
    if outside.stat().st_uid != os.geteuid():
        raise PermissionError(f"{outside} belongs to somebody else: remove it")
    return outside


BUILD = _build_directory()


def new_directory(parent: str | None = None) -> Path:
    """A temporary directory that the daemon's user can enter, unlike those of mkdtemp."""
    path = Path(tempfile.mkdtemp(prefix="van-", dir=parent))
    path.chmod(0o755)
    return path


@contextmanager
def open_directory(parent: str | None = None) -> Iterator[Path]:
    """The same, removed at the end."""
    path = new_directory(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path)
