"""A file system that can stop answering: a directory shown at another place by bindfs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait

POSSIBLE = shutil.which("bindfs") is not None and os.access("/dev/fuse", os.W_OK)


class Mirror:
    """What the server of a mirrored directory is told."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self._server = server

    def stop(self) -> None:
        """From now on whoever asks waits; what the kernel has in its caches it still tells."""
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._server.send_signal(signal.SIGCONT)


@contextmanager
def mirror(directory: Path, point: Path) -> Iterator[Mirror]:
    """Show ``directory`` at ``point``, which is made, without caches of names and attributes."""
    point.mkdir()
    outside = point.stat().st_dev
    options = "entry_timeout=0,attr_timeout=0,negative_timeout=0"
    server = subprocess.Popen(["bindfs", "-f", "-o", options, str(directory), str(point)])
    mirrored = Mirror(server)
    try:
        wait(lambda: point.stat().st_dev != outside, "bindfs")
        yield mirrored
    finally:
        mirrored.go_on()
        subprocess.run(["umount", "-l", point], check=True)
        server.kill()
        server.wait()
