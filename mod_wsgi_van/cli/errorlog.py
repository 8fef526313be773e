"""Finds the lines of one site in Apache's error log, or in what a server wrote to a terminal."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_POLL = 0.25  # seconds between two looks at a log that is followed

# What Apache and mod_wsgi write before a message, with the ErrorLogFormat of Apache's default.
_PREFIX = re.compile(
    r"\[\w{3} \w{3} [^\]]*\] \[[^\] ]*\] \[pid [^\]]*\] (?:\[(?:client|remote|script) [^\]]*\] )*"
)


class Lines:
    """Decides line by line; what is indented below a line of the site is of the site too."""

    def __init__(self, site: str) -> None:
        # "[SITE] " begins what the site itself writes: no other site can make such a line.
        name = re.escape(site)
        self._own = re.compile(rf"(?:mod_wsgi_van [A-Z]+: )?{name}: |\[{name}\] ")
        self._within = False

    def belongs(self, line: str) -> bool:
        prefix = _PREFIX.match(line)
        message = line[prefix.end() :] if prefix else line
        indented = message[:1].isspace() and message.strip() != ""
        self._within = bool(self._own.match(message)) or (self._within and indented)
        return self._within


def read(path: str, *, follow: bool) -> Iterator[str]:
    """The lines of a log, without their ends; with ``follow`` also of those that replace it.

    Raises OSError.
    """
    file = _open(path)
    rest = ""
    try:
        while True:
            block = file.read(1 << 16)
            *whole, rest = (rest + block).split("\n")
            yield from whole
            if block:
                continue
            if not follow:
                break
            if (new := _replaced(path, file)) is not None:
                if block := file.read():  # written between our read and the rotation
                    *whole, rest = (rest + block).split("\n")
                    yield from whole
                file.close()
                file, rest = new, ""
            else:
                time.sleep(_POLL)
        if rest:
            yield rest
    finally:
        file.close()


def _open(path: str) -> IO[str]:
    return Path(path).open(encoding="utf-8", errors="backslashreplace", newline="\n")


def _replaced(path: str, file: IO[str]) -> IO[str] | None:
    """The log that stands there now, where that is another one; copytruncate empties the same."""
    ours = os.fstat(file.fileno())
    if ours.st_size < os.lseek(file.fileno(), 0, os.SEEK_CUR):
        return _open(path)
    try:
        there = os.stat(path)
        # Until Apache is told, it goes on writing to the old one.
        other = there.st_size and (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
        return _open(path) if other else None
    except FileNotFoundError:  # in the middle of a rotation
        return None
