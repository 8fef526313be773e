import json
import os
import uuid

import helper

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]


def app(environ, start_response):
    seen = [SEEN, helper.seen()]
    body = json.dumps({"load": LOAD, "pid": os.getpid(), "seen": seen}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
