"""Every way of answering that PEP 3333 knows, by path; /counts says what was called."""

import hashlib
import io
import json
import os
import threading
import time
import uuid
from pathlib import Path

LOAD = uuid.uuid4().hex
GO = threading.Event()
COUNTS = {"closed": 0, "sent": 0, "waiting": 0}


def app(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)


def text(start_response, body):
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


class Closing:
    """An iterable that counts what was taken from it and that it was closed."""

    def __init__(self, chunks):
        self.chunks = iter(chunks)

    def __iter__(self):
        return self

    def __next__(self):
        chunk = next(self.chunks)
        COUNTS["sent"] += 1
        return chunk

    def close(self):
        COUNTS["closed"] += 1


def index(environ, start_response):
    known = {key: value for key, value in environ.items() if isinstance(value, str)}
    return text(start_response, json.dumps({"load": LOAD, "pid": os.getpid(), **known}).encode())


def stream(environ, start_response):
    """The second half comes only when another request asks for it."""

    def halves():
        yield b"first "
        GO.wait(30)
        yield b"second"

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing(halves())


def go(environ, start_response):
    GO.set()
    return text(start_response, b"gone")


def write(environ, start_response):
    out = start_response("200 OK", [("Content-Type", "text/plain")])
    out(b"written ")
    return [b"and returned"]


def wrapped(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](Path(__file__).open("rb"), 4096)


def wrapped_bytes(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 100_000), 4096)


def closing(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return Closing([b"ok"])


def forever(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing(iter(lambda: b"x" * 65536, b""))


def counts(environ, start_response):
    return text(start_response, json.dumps(COUNTS).encode())


def upload(environ, start_response):
    digest, size = hashlib.sha256(), 0
    while chunk := environ["wsgi.input"].read(65536):
        digest.update(chunk)
        size += len(chunk)
    return text(start_response, f"{size} {digest.hexdigest()}".encode())


def raises(environ, start_response):
    raise RuntimeError("raised while handling a request")


def wait(environ, start_response):
    """Answers when there is a file named go in the release's directory."""
    COUNTS["waiting"] += 1
    end = time.monotonic() + 30
    while not Path(__file__).parent.with_name("go").exists() and time.monotonic() < end:
        time.sleep(0.01)
    return text(start_response, LOAD.encode())


def errors(environ, start_response):
    print("a line for wsgi.errors", file=environ["wsgi.errors"], flush=True)
    return text(start_response, b"said")


PATHS = {
    "/": index,
    "/stream": stream,
    "/go": go,
    "/write": write,
    "/file": wrapped,
    "/filelike": wrapped_bytes,
    "/closing": closing,
    "/forever": forever,
    "/counts": counts,
    "/upload": upload,
    "/raise": raises,
    "/wait": wait,
    "/errors": errors,
}
