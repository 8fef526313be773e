"""What the package logs, where pytest's caplog is not to be had or counts are wanted."""

from __future__ import annotations

import logging


class Lines(logging.Handler):
    """The warnings and errors that were logged."""

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
