import os
import time

BODIES = {size: b"x" * size for size in (1 << 10, 1 << 20)}


def app(environ, start_response):
    kind, _, number = environ["PATH_INFO"][1:].partition("/")
    if kind == "body":
        body = BODIES[int(number)]
    elif kind == "upload":
        body = b"%d" % len(environ["wsgi.input"].read())
    elif kind == "hold":
        while not os.path.exists(os.path.dirname(__file__) + "/go"):
            time.sleep(0.01)
        body = b"held"
    elif kind == "sleep":
        time.sleep(float(number))
        body = b"slept"
    else:
        end = time.thread_time() + float(number)
        while time.thread_time() < end:
            pass
        body = b"burnt"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
