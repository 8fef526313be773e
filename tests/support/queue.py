"""The kernel's queue of inotify events, which tests make short."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
MAY_BE_SET = os.access(LIMIT, os.W_OK)
SHORT = 64  # events


@contextmanager
def short() -> Iterator[None]:
    """Where that may be set: the inotify instances that are made within lose what comes quickly.

    The limit is the whole system's: of two tests at once, one would leave the other's behind.
    """
    if not MAY_BE_SET:
        yield
        return
    with (Path(tempfile.gettempdir()) / "mod_wsgi_van-inotify.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = LIMIT.read_text()
        try:
            LIMIT.write_text(str(SHORT))
            yield
        finally:
            LIMIT.write_text(before)
