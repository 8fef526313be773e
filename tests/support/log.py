"""What the package has logged."""

from __future__ import annotations

import logging

import pytest


class Lines(logging.Handler):
    """The warnings and errors that were logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def logged(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """How many lines have the text."""
    return sum(text in record.getMessage() for record in caplog.records)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


def listening() -> Lines:
    """What is logged from now on."""
    lines = Lines()
    logging.getLogger("mod_wsgi_van").addHandler(lines)
    return lines
