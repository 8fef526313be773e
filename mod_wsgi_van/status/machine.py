"""What the kernel tells of a process."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def private_bytes(pid: int) -> int:
    """Resident memory that is no file's; 0 when the process is gone.

    /proc/PID/smaps_rollup would be more exact, but walks all pages, and is closed to other users.
    """
    try:
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE


def cpu_seconds(pid: int) -> float:
    """Of all threads, without children; 0 when the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    except (OSError, ValueError, IndexError):
        return 0.0
