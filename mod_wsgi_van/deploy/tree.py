"""What a release is copied into: nothing leaves the directory, and its size is bounded.

An archive may come from anybody. So no entry is written through a symlink, a symlink leads to a
place inside, and anything but files, directories and symlinks is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from mod_wsgi_van.deploy.failure import DeployFailed

MOST_BYTES = 4 << 30
MOST_ENTRIES = 200_000
_BLOCK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """Writes below ``root``, which exists and which nobody else can enter yet.

    Names are relative and may be hostile. Raises DeployFailed.
    """

    def __init__(self, root: Path, bytes: int = MOST_BYTES, entries: int = MOST_ENTRIES) -> None:
        self.root = root
        self.files = 0
        self._bytes = bytes
        self._entries = entries
        self._links: list[str] = []

    def directory(self, name: str) -> None:
        path = self._place(name)
        if path != self.root and not stat.S_ISDIR(_mode(path)):
            path.unlink(missing_ok=True)
            path.mkdir(0o755)

    def file(self, name: str, stream: IO[bytes], executable: bool, changed: float) -> None:
        """``changed``: its mtime."""
        path = self._fresh(name)
        descriptor = os.open(path, _NEW, 0o755 if executable else 0o644)
        with os.fdopen(descriptor, "wb") as out:
            while block := stream.read(_BLOCK):
                self._bytes -= len(block)
                if self._bytes < 0:
                    raise DeployFailed(f"{name!r}: it has too many bytes in all")
                out.write(block)
            out.flush()
            os.utime(descriptor, (changed, changed))
        self.files += 1

    def link(self, name: str, text: str) -> None:
        path = self._fresh(name)
        if text.startswith("/"):
            raise DeployFailed(f"{name!r} is a symlink out of it, to {text!r}: make it relative")
        os.symlink(text, path)
        self._links.append(name)

    def finish(self) -> None:
        """Where links lead is known when all is there."""
        top = os.path.realpath(self.root)
        for name in self._links:
            end = os.path.realpath(self.root / name)
            if os.path.commonpath((top, end)) != top:
                text = os.readlink(self.root / name)
                raise DeployFailed(f"{name!r} is a symlink out of it, to {text!r}")

    def refuse(self, name: str, what: str) -> None:
        raise DeployFailed(f"{name!r} is {what}: files, directories and symlinks can be deployed")

    def _place(self, name: str) -> Path:
        """The path of an entry, below real directories, which are made."""
        self._entries -= 1
        if self._entries < 0:
            raise DeployFailed(f"{name!r}: it has too many entries")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise DeployFailed(f"{name!r} would be outside of the release")
        path = self.root
        for part in parts[:-1]:
            path /= part
            mode = _mode(path)
            if not mode:
                path.mkdir(0o755)
            elif not stat.S_ISDIR(mode):
                raise DeployFailed(f"{name!r} would be below a symlink or a file")
        return path.joinpath(*parts[-1:])

    def _fresh(self, name: str) -> Path:
        path = self._place(name)
        mode = _mode(path)
        if path == self.root or stat.S_ISDIR(mode):
            raise DeployFailed(f"{name!r} is a directory and something else")
        if mode:
            path.unlink()  # as tar does it: the last one of a name counts
        return path


def _mode(path: Path) -> int:
    """Of what is there, 0 where nothing is."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0
