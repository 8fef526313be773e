"""Every way of answering that PEP 3333 knows, by path; /counts says what was called."""

import hashlib
import io
import json
import os
import sys
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


class Rules:
    """Heads as PEP 3333 and servers have them, by name: what the server makes of each."""

    def __init__(self, start_response):
        self.start = start_response

    def again(self):
        self.start("200 OK", [])
        self.start("201 Created", [])

    def again_when_sent(self):
        self.start("200 OK", [])(b"sent ")
        self.start("201 Created", [])

    def with_error(self, sent=b""):
        write = self.start("200 OK", [])
        if sent:
            write(sent)
        try:
            raise KeyError("before")
        except KeyError:
            self.start("202 Accepted", [], sys.exc_info())

    def with_error_when_sent(self):
        self.with_error(b"sent ")

    def list_as_error(self):
        self.start("200 OK", [], [])

    def tuple_of_headers(self):
        self.start("200 OK", ())

    def header_in_a_list(self):
        self.start("200 OK", [["Name", "value"]])

    def header_of_one(self):
        self.start("200 OK", [("Name",)])

    def header_of_a_number(self):
        self.start("200 OK", [("Name", 5)])

    def header_of_two_lines(self):
        self.start("200 OK", [("Name", "value\r\nX: y")])

    def bytes_as_status(self):
        self.start(b"200 OK", [])

    def number_as_status(self):
        self.start(200, [])

    def words_as_status(self):
        self.start("OK", [])


def rules(environ, start_response):
    try:
        getattr(Rules(start_response), environ["QUERY_STRING"])()
    except Exception as error:
        name = type(error).__name__.encode()
        try:
            start_response("200 OK", [])
        except RuntimeError:  # it was sent
            pass
        return [name]
    return [b"fine"]


def wrapped_text(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](Path(__file__).open(encoding="utf-8"), 4096)


PATHS = {
    "/rules": rules,
    "/text": wrapped_text,
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
