import importlib
import itertools
import json
import os
import sys
import threading
import uuid

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]
COUNT = itertools.count()
LOCK = threading.Lock()


def app(environ, start_response):
    name = f"parts.part{next(COUNT) % 3}"
    with LOCK:  # no import system takes kindly to a module that goes while it is imported
        sys.modules.pop(name, None)  # so that each request imports anew
        part = importlib.import_module(name)
    from parts import common

    seen = [SEEN, part.seen(), common.seen(), importlib.import_module("helper").seen()]
    body = json.dumps({"load": LOAD, "pid": os.getpid(), "seen": seen}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
