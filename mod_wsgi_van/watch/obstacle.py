"""What keeps inotify from being used: for everything, or for one directory."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

_SYSCTL = "fs.inotify.{}"


class Obstacle(Exception):
    """inotify cannot watch what is concerned; the text names the limit and the remedy.

    ``code`` is stable; ``kind`` tells apart what is worth a line of its own in the log.
    """

    def __init__(self, code: str, kind: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.kind = kind


def no_instance(error: OSError) -> Obstacle:
    """inotify_init1(2) failed."""
    if error.errno in (errno.ENOSYS, errno.EPERM):
        return Obstacle("VAN023", "missing", f"this system has no inotify ({error.strerror})")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Obstacle(
        "VAN020",
        "instances",
        f"no inotify instance can be had ({error.strerror}): raise"
        f" {_limit('max_user_instances')}, or the limit of open files ({files})",
    )


def no_thread(error: RuntimeError) -> Obstacle:
    return Obstacle(
        "VAN020",
        "threads",
        f"no thread can be had for inotify ({error}): raise the limit of processes (RLIMIT_NPROC,"
        " the pids limit of the container) or of memory",
    )


def no_watch(error: OSError, directory: str) -> Obstacle:
    """inotify_add_watch(2) failed."""
    if error.errno == errno.EACCES:
        return Obstacle(
            "VAN025",
            "permission",
            f"{directory} cannot be watched: this process may not read it; give it read permission",
        )
    if error.errno == errno.ENOSPC:
        return Obstacle(
            "VAN020",
            "watches",
            f"no inotify watch is left for {directory}: raise {_limit('max_user_watches')}, which"
            " all processes of a user share",
        )
    return Obstacle("VAN020", str(error.errno), f"{directory} cannot be watched: {error.strerror}")


def blind(file_system: str, directory: str) -> Obstacle:
    return Obstacle(
        "VAN022",
        file_system,
        f"{directory} is on {file_system}, where inotify does not see what others change",
    )


def too_large(directory: str, most: int) -> Obstacle:
    return Obstacle(
        "VAN026",
        "size",
        f"there are more than {most} directories below {directory}: move what is not code out of"
        " it, or name it in watch_ignore",
    )


def _limit(name: str) -> str:
    try:
        value = Path("/proc/sys", *_SYSCTL.format(name).split(".")).read_text().strip()
    except OSError:
        value = "unknown"
    return f"{_SYSCTL.format(name)} (now {value}) with sysctl"
