"""What this process has open."""

from __future__ import annotations

import os
from pathlib import Path


def descriptors() -> dict[int, str]:
    """Each descriptor's target, but for that of the listing."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


def inotify_watches() -> int:
    """How many the kernel has for all inotify instances of this process."""
    total = 0
    for number, target in descriptors().items():
        if "inotify" in target:
            text = Path(f"/proc/self/fdinfo/{number}").read_text()
            total += text.count("inotify wd:")
    return total
