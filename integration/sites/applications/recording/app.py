"""Writes down which request it begins, by query string, before it answers."""

import json
import os
import uuid
from pathlib import Path

import helper

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]
BEGUN = os.open(Path(__file__).parent.with_name("begun"), os.O_WRONLY | os.O_APPEND)


def app(environ, start_response):
    os.write(BEGUN, environ["QUERY_STRING"].encode() + b"\n")
    body = json.dumps({"load": LOAD, "pid": os.getpid(), "seen": [SEEN, helper.seen()]}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
