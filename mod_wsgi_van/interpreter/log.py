"""Logging where nobody configured any: under mod_wsgi, stderr is Apache's error log."""

from __future__ import annotations

import logging
import os
import re
import sys

from mod_wsgi_van.tally import Tally

_CODE = re.compile(r"(?:[^ ]+: )?(VAN\d{3})\b")

events = Tally()  # lines with a code, by that


class _ErrorLog(logging.Handler):
    """Writes to stderr while nothing else would, as logging.lastResort does, info included."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return  # configured after all: that handler has the record too
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class _Count(logging.Handler):
    """Counts the lines with a code."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the handler's lock: there is nothing to guard."""
        if found := _CODE.match(record.getMessage()):
            events.note("events", found[1])
        return True


def ensure() -> None:
    """Count events; let them reach stderr unless the package's logger or the root has a handler."""
    logger = logging.getLogger("mod_wsgi_van")
    others = [each for each in logger.handlers if not isinstance(each, _Count)]
    if len(others) == len(logger.handlers):
        logger.addHandler(_Count())
    if others or (logger.propagate and logging.getLogger().handlers):
        return
    handler = _ErrorLog()
    # A child that is forked while a thread writes would wait for stderr's own lock for ever. In the
    # child, logging itself makes the handler's lock anew.
    os.register_at_fork(before=handler.acquire, after_in_parent=handler.release)
    handler.setFormatter(logging.Formatter("mod_wsgi_van %(levelname)s: %(message)s"))
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
