"""Symbolic links, exchanged in one step."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2  # rename(2)


def swap(link: Path, target: Path | str) -> None:
    """Point a link to another target as ``ln -sfn`` does: a new link renamed over the old one."""
    temporary = link.with_name(f".{link.name}.{threading.get_ident()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def exchange(one: Path, other: Path) -> None:
    """Give each of two paths what the other one has."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = [os.fsencode(path) for path in (one, other)]
    if libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
