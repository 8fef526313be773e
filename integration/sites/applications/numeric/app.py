import json
import os
import uuid

import helper
import numpy

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]


def app(environ, start_response):
    total = int(numpy.arange(10).sum())
    said = {"load": LOAD, "pid": os.getpid(), "seen": [SEEN, helper.seen()], "total": total}
    body = json.dumps(said).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
