import json
import os
import pickle
import uuid

import things

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]


def app(environ, start_response):
    thing = pickle.loads(pickle.dumps(things.Thing()))
    seen = [SEEN, thing.made_by, thing.seen()]
    if type(thing) is not things.Thing:
        seen.append(["another class", ""])
    body = json.dumps({"load": LOAD, "pid": os.getpid(), "seen": seen}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
