"""What decides where a path leads: the chain of (physical directory, name) pairs.

Pure functions of the file system; called from any thread. Whoever watches each of these
directories for its name sees a swap of any symlink on the way, base_path itself included, and the
creation of what is missing.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

MAX_LINKS = 40  # path_resolution(7): the kernel gives up with ELOOP after as many

Identity = tuple[int, int, int, int]
"""Device, inode, mtime and ctime (ns). Never the inode alone: ext4 gives the number of a deleted
directory to the next one created in half of all cases."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a path resolved to.

    ``hops``: the pairs in the order in which the kernel looks at them, up to the first name that is
    missing, or is a file and no directory. ``end``: the physical path, or "" where there is none
    for the reason of ``error`` (an errno). Two equal chains are one signature: nothing on the way
    was exchanged between them.
    """

    hops: tuple[tuple[str, str], ...]
    links: tuple[str, ...]  # the text of each symlink met
    end: str
    error: int
    identity: Identity | None


def identify(path: str) -> Identity | None:
    """Return the identity of what ``path`` leads to, None where it leads nowhere."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def resolve(path: str, directory: str = "/") -> Chain:
    """Follow ``path``, from the physical ``directory`` when it is relative; never raises OSError.

    A ``..`` is the physical parent, as for the kernel, not the text before it.
    """
    hops: list[tuple[str, str]] = []
    links: list[str] = []
    pending = _split(path)
    where = "/" if path.startswith("/") else directory
    error = 0
    while pending and not error:
        name = pending.pop()
        if name == "..":
            where = os.path.dirname(where)
            continue
        hops.append((where, name))
        full = f"{where}/{name}" if where != "/" else f"/{name}"
        try:
            text = os.readlink(full) if stat.S_ISLNK(os.lstat(full).st_mode) else None
        except OSError as problem:
            error = problem.errno or errno.ENOENT
            if error == errno.ENOTDIR:
                hops.pop()  # of a file: what takes its place shows in the hop above
            break
        if text is None:
            where = full
            continue
        links.append(text)
        error = errno.ELOOP if len(links) > MAX_LINKS else 0
        pending.extend(_split(text))
        where = "/" if text.startswith("/") else where
    if error:
        return Chain(tuple(hops), tuple(links), "", error, None)
    return Chain(tuple(hops), tuple(links), where, 0, identify(where))


def _split(path: str) -> list[str]:
    """The names of a path, the first one last: the order of a stack."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
