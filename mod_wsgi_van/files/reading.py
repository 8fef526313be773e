"""How the daemon reads the small text files of a site, and there is no other way.

A site's files are hostile input: a FIFO blocks whoever opens it, ``/dev/zero`` never ends, and a
sparse file of gigabytes costs its owner nothing. Called from loading threads, never under a lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator

from mod_wsgi_van.errors import UnfitFile, Unreadable
from mod_wsgi_van.files.chain import resolve

# What open(2) and stat(2) say where there is no such file; a loop of symlinks leads to none.
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
}


def read(path: str, limit: int) -> str | None:
    """Return the text of a file of at most ``limit`` bytes, None where there is no such file.

    Raises as ``read_bytes``.
    """
    data = read_bytes(path, limit)
    return None if data is None else data.decode("utf-8", "replace")


def read_bytes(path: str, limit: int, owner: int | None = None) -> bytes | None:
    """Return the contents of such a file.

    Raises errors.UnfitFile for a larger one, for what is no regular file and where ``owner`` is
    given for another user's, errors.Unreadable where it cannot be read.
    """
    data = None
    with missing_or_readable(path):
        _check(path, os.stat(path), limit)  # before it is opened: that alone makes some devices act
        descriptor = os.open(path, _FLAGS)
        try:
            found = os.fstat(descriptor)
            _check(path, found, limit)
            if owner is not None and found.st_uid != owner:
                raise _unfit(path, "belongs to another user than the site", limit)
            data = _up_to(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    if data is not None and len(data) > limit:  # it grows, or is a file of /proc, which has no size
        raise _unfit(path, f"has more than {limit:,} bytes", limit)
    return data


def is_missing(error: BaseException) -> bool:
    """Whether an error says that there is nothing; a hook's own may have no errno."""
    return isinstance(error, FileNotFoundError) or (
        isinstance(error, OSError) and error.errno in _MISSING
    )


@contextlib.contextmanager
def missing_or_readable(path: str) -> Iterator[None]:
    """End the block where ``path`` is missing; raise errors.Unreadable where it is out of reach."""
    try:
        yield
    except OSError as error:
        if not is_missing(error):
            raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> Unreadable:
    """The error for a file or directory that exists and cannot be read, or not be reached."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return Unreadable(f"{path} cannot be read: {error.strerror}", files=(path,))
    _, closed = _closed(path)
    what = f"the directory {closed} may not be entered" if closed else f"{path} may not be read"
    return Unreadable(
        f"{what} by this process's user, {_user()}: give that user the permission,"
        " for the directories above as well",
        files=(closed or path, path),
    )


def out_of_reach(path: str) -> str:
    """Say what this process's user may not enter on the way to a path, "" where it may."""
    target, closed = _closed(path)
    if not closed:
        return ""
    link = f"{path} leads to {target}, and " if target else ""
    return f"{link}the directory {closed} may not be entered by {_user()}"


def _closed(path: str) -> tuple[str, str]:
    """The text of the last link on the way, and the first directory that cannot be entered."""
    chain = resolve(path)
    closed = chain.hops[-1][0] if chain.error in (errno.EACCES, errno.EPERM) else ""
    return (chain.links[-1] if chain.links else ""), closed


def _check(path: str, found: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unfit(path, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no regular file')}", limit)
    if found.st_size > limit:
        raise _unfit(path, f"has {found.st_size:,} bytes", limit)


def _unfit(path: str, what: str, limit: int) -> UnfitFile:
    return UnfitFile(
        f"{path} {what}, where a regular file of at most {limit:,} bytes belongs: replace it or"
        " remove it",
        files=(path,),
    )


def _up_to(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
