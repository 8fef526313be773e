import json
import os
import time
import uuid

import helper

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]


def app(environ, start_response):
    before = helper.seen()
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    import helper as again

    seen = [SEEN, before, again.seen()]
    body = json.dumps({"load": LOAD, "pid": os.getpid(), "seen": seen}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
