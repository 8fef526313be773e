"""Logging where nobody configured any: under mod_wsgi, stderr is Apache's error log."""

from __future__ import annotations

import logging
import os
import sys


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


def ensure() -> None:
    """Let events reach stderr unless the package's logger or the root has a handler."""
    logger = logging.getLogger("mod_wsgi_van")
    if logger.hasHandlers():
        return
    handler = _ErrorLog()
    # A child that is forked while a thread writes would wait for stderr's own lock for ever. In the
    # child, logging itself makes the handler's lock anew.
    os.register_at_fork(before=handler.acquire, after_in_parent=handler.release)
    handler.setFormatter(logging.Formatter("mod_wsgi_van %(levelname)s: %(message)s"))
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
