"""File systems: where inotify is blind, and what is mounted.

Decided by type: a self-test by touching a file proves nothing, because one's own changes give
events on FUSE and NFS too; those of others do not.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

MOUNTS = "/proc/self/mountinfo"

# Where a change can come from elsewhere, by statfs(2)'s f_type.
_FOREIGN = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x5346414F: "OpenAFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
    0x7C7C6673: "prl_fs",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x20030528: "OrangeFS",
    0xAAD7AAEA: "PanFS",
}

_libc = ctypes.CDLL(None, use_errno=True)


def foreign(path: str) -> str | None:
    """Return the name of the file system ``path`` is on when others can change it unseen.

    None for a local one, and where it cannot be told: adding the watch fails by itself then.
    """
    # f_type is the first field of struct statfs, of the machine's word size; the rest is room.
    buffer = (ctypes.c_ulong * 64)()
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        return None
    return _FOREIGN.get(buffer[0] & 0xFFFFFFFF)


def mounts() -> frozenset[tuple[str, str]]:
    """Return what is mounted: (mount id with device, mount point)."""
    try:
        text = Path(MOUNTS).read_text("utf-8", "surrogateescape")
    except OSError:
        return frozenset()
    fields = (line.split(" ") for line in text.splitlines())
    return frozenset((f"{each[0]} {each[2]}", _unescaped(each[4])) for each in fields)


def _unescaped(text: str) -> str:
    """Mount points have blanks and backslashes as octal escapes, proc_pid_mountinfo(5)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
