import io
import logging
import logging.config
import threading

import me

lock = threading.Lock()
stream = io.StringIO()


class Own(logging.StreamHandler):
    def __init__(self):
        super().__init__(stream)


CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": me.NAME + " %(name)s %(levelname)s %(message)s"}},
    "handlers": {"own": {"class": "cells.logging_config.Own", "formatter": "own"}},
    "root": {"handlers": ["own"], "level": "INFO" if me.NAME == "one" else "ERROR"},
}


def run(turn):
    with lock:
        logging.config.dictConfig(CONFIG)
        stream.seek(0)
        stream.truncate()
        logging.getLogger("cells.x").warning("warned")
        logging.getLogger("cells.x").error("failed")
        return repr(stream.getvalue())
