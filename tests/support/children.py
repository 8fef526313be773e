"""Forked children, in which tests meet the real limits of the system without anybody else."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable

NOBODY = 65534


def in_child(test: Callable[[], None]) -> None:
    """Run ``test`` in a forked child; it fails here with the child's traceback."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            test()
            text = ""
        except BaseException:
            text = traceback.format_exc()
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert text == ""


def without_privileges() -> None:
    """Root has no limits."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def listening() -> Lines:
    """What is logged from now on."""
    lines = Lines()
    logging.getLogger("mod_wsgi_van").addHandler(lines)
    return lines
