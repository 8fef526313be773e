"""inotify(7) as the kernel offers it: the calls, the flags and the layout of its events.

watchdog brings calls of its own, but its descriptor is inherited by every program that an
application starts, and its classes around them are not documented.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ISDIR = 0x4000_0000

_ONLYDIR = 0x100_0000
_DONT_FOLLOW = 0x200_0000

# Opening, reading and each single write only cost: what matters ends with one of these.
_MASK = (
    IN_ATTRIB
    | IN_CLOSE_WRITE
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | _ONLYDIR
    | _DONT_FOLLOW
)

_HEAD = struct.Struct("iIII")  # struct inotify_event: wd, mask, cookie, len; then the name


class Event(NamedTuple):
    """One event; ``name`` is "" when it is about the watched directory itself."""

    wd: int
    mask: int
    name: str

    @classmethod
    def lost(cls) -> Event:
        """The event that says that others were lost."""
        return cls(-1, IN_Q_OVERFLOW, "")


class Inotify:
    """One inotify instance. Every method raises OSError with the errno of the man page."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            init, self._add, self._remove = (
                libc.inotify_init1,
                libc.inotify_add_watch,
                libc.inotify_rm_watch,
            )
        except AttributeError as problem:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from problem
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._remove.argtypes = (ctypes.c_int, ctypes.c_int)
        # IN_CLOEXEC and IN_NONBLOCK have the values of the open(2) flags.
        self.fd: int = _checked(init(os.O_CLOEXEC | os.O_NONBLOCK))

    def add(self, directory: str) -> int:
        """Watch a directory and return its wd: the same one for the same inode, by any path.

        NotADirectoryError when it is something else by now, a symlink included.
        """
        return _checked(self._add(self.fd, os.fsencode(directory), _MASK), directory)

    def remove(self, wd: int) -> None:
        """Remove a watch; one that has gone by itself, or with the instance, is no error."""
        gone = (errno.EINVAL, errno.EBADF)
        if self._remove(self.fd, wd) < 0 and ctypes.get_errno() not in gone:
            _checked(-1)

    def read(self) -> list[Event]:
        """Return what is queued, some thousand events at most; never waits."""
        try:
            return list(_events(os.read(self.fd, 65536)))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Close this process's descriptor; the kernel removes the watches with the last copy."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _checked(result: int, path: str | None = None) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)


def _events(data: bytes) -> Iterator[Event]:
    offset = 0
    while offset < len(data):
        wd, mask, _, length = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        name = data[offset : offset + length].rstrip(b"\0")
        offset += length
        yield Event(wd, mask, os.fsdecode(name))
