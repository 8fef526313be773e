"""What a test can ask of a worker, one path each. Runs on Python 3.8 and later."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from wsgiref.validate import validator

PLAIN = [("Content-Type", "text/plain")]
RELEASE = threading.Event()
CLOSED = []
HANGING = []


class Blocks:
    """A response that notes when it is closed."""

    def __init__(self, name, blocks):
        self.name = name
        self.blocks = iter(blocks)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.blocks)

    def close(self):
        CLOSED.append(self.name)


def echo(environ, start_response):
    """The environ and the body."""
    seen = {key: repr(value) for key, value in environ.items()}
    body = environ["wsgi.input"].read()
    text = json.dumps({"environ": seen, "body": body.decode("latin-1"), "pid": os.getpid()})
    start_response("200 OK", PLAIN)
    return [text.encode()]


def about(environ, start_response):
    import __main__

    start_response("200 OK", PLAIN)
    facts = {
        "version": list(sys.version_info[:2]),
        "prefix": sys.prefix,
        "path": sys.path,
        "argv": sys.argv,
        "environ": dict(os.environ),
        "descriptors": open_descriptors(),
        "main": __main__.__file__,
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "closed": CLOSED,
        "hanging": len(HANGING),
        "pid": os.getpid(),
    }
    return [json.dumps(facts).encode()]


def open_descriptors():
    """What each descriptor leads to; not the one that reading the directory takes."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            pass
    return {fd: target for fd, target in found.items() if not target.startswith("/proc/")}


def stream(environ, start_response):
    """Blocks of which each is sent only when the one before it has been acknowledged."""
    start_response("200 OK", PLAIN)
    return Blocks("stream", (b"block %d\n" % number for number in range(3)))


def endless(environ, start_response):
    start_response("200 OK", PLAIN)
    return Blocks("endless", iter(lambda: b"x" * 65536, None))


def interlock(environ, start_response):
    """Reads a piece of the body for every piece of the response that it yields."""
    start_response("200 OK", PLAIN)
    return iter(lambda: environ["wsgi.input"].read(100000).upper(), b"")


def lines(environ, start_response):
    start_response("200 OK", PLAIN)
    got = environ["wsgi.input"].readline(), environ["wsgi.input"].readlines(1)
    rest = list(environ["wsgi.input"])
    return [repr((got, rest)).encode()]


def count(environ, start_response):
    """How many bytes the body has, read in pieces; and how much memory that took."""
    import resource

    read = environ["wsgi.input"].read
    total = sum(map(len, iter(lambda: read(1 << 20), b"")))
    start_response("200 OK", PLAIN)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [json.dumps([total, peak]).encode()]


def unread(environ, start_response):
    start_response("413 Content Too Large", PLAIN)
    return [b"not read"]


def writer(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"written, ")
    write(b"")
    return Blocks("writer", [b"returned"])


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def late_start(environ, start_response):
    """A generator: start_response is called by the first next()."""
    start_response("201 Created", PLAIN)
    yield b""
    yield b"late"


def no_start(environ, start_response):
    return [b"no head"]


def changed_mind(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        raise KeyError("before the first block")
    except KeyError:
        start_response("500 Oops", [*PLAIN, ("X-Second", "yes")], sys.exc_info())
    return [b"second"]


def too_late(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"first")
    try:
        raise KeyError("after the first block")
    except KeyError:
        start_response("500 Oops", PLAIN, sys.exc_info())
    return [b"never"]


def latin(environ, start_response):
    start_response("200 Tr\xe8s bien", [*PLAIN, ("X-Name", "caf\xe9"), ("X-Empty", "")])
    return [environ["PATH_INFO"].encode("latin-1")]


def bad_head(environ, start_response):
    status, headers = json.loads(environ["QUERY_STRING"])
    start_response(status, [tuple(pair) for pair in headers])
    return [b"sent"]


def bad_data(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["text"] if environ["QUERY_STRING"] == "list" else iter(["text"])


def raises(environ, start_response):
    raise ValueError("what the application raised")


def raises_later(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"first"
    raise ValueError("what the application raised later")


def raises_in_close(environ, start_response):
    start_response("200 OK", PLAIN)

    class Raising(Blocks):
        def close(self):
            raise ValueError("what close() raised")

    return Raising("raising", [b"all"])


def exits(environ, start_response):
    sys.exit(3)


def served_file(environ, start_response):
    """wsgi.file_wrapper around what the query says, from byte 5 on."""
    start_response("200 OK", PLAIN)
    data = b"01234" + b"the content" * 100
    kind = environ["QUERY_STRING"]
    if kind == "memory":
        file = io.BytesIO(data)
    elif kind == "gzip":
        import gzip

        file = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(data)))
    else:
        file = tempfile.TemporaryFile()
        file.write(data)
    file.seek(5)
    return environ["wsgi.file_wrapper"](file, 100)


def talks(environ, start_response):
    environ["wsgi.errors"].write("to wsgi.errors\n")
    print("to stdout")
    print("to stderr \u20ac", file=sys.stderr)
    logging.getLogger("talker").warning("to logging")
    sys.stderr.write("\x1b[31mforged\r")
    sys.stderr.write("\n")
    sys.stdout.flush()
    subprocess.call([sys.executable, "-c", "print('from a child')"])
    start_response("200 OK", PLAIN)
    return [b"talked"]


def floods(environ, start_response):
    for _ in range(int(environ["QUERY_STRING"])):
        sys.stderr.write("flood " * 1000 + "\n")
    start_response("200 OK", PLAIN)
    return [b"flooded"]


def dies(environ, start_response):
    how = environ["QUERY_STRING"]
    if how == "exit":
        os._exit(7)
    if how == "close":
        os.closerange(3, 256)
        while True:
            time.sleep(1)
    if how == "once" and not os.path.exists(environ["HTTP_X_MARK"]):
        os.mkdir(environ["HTTP_X_MARK"])
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "read":
        environ["wsgi.input"].read(10)
    if how != "once":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", PLAIN)
    return [b"alive"]


def dies_later(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"first"
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(environ, start_response):
    HANGING.append(1)
    RELEASE.wait()
    start_response("200 OK", PLAIN)
    return [b"released"]


def sleeps(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", PLAIN)
    return [b"%d" % os.getpid()]


def hangs_later(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"first"
    RELEASE.wait()


def release(environ, start_response):
    RELEASE.set()
    start_response("200 OK", PLAIN)
    return [b"released"]


def holds_the_gil(environ, start_response):
    import re

    re.match(r"(a+)+$", "a" * 60 + "b")


def forks(environ, start_response):
    """The child answers as well, and then lives on."""
    child = os.fork()
    start_response("200 OK", PLAIN)
    if child == 0:
        print("child", os.getpid())
        return Blocks("child", lingering())
    return [b"%d" % child]


def lingering():
    yield b"from the child"
    time.sleep(600)


def forks_twice(environ, start_response):
    """What of the child's files was closed in the child's child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]
        if os.fork() == 0:
            there = [fd for fd in opened if os.path.exists(f"/proc/self/fd/{fd}")]
            os.write(writing, b"%d of %d" % (len(there), len(opened)))
            os._exit(0)
        os.wait()
        os._exit(0)
    os.waitpid(child, 0)
    start_response("200 OK", PLAIN)
    return [os.read(reading, 1000)]


def forks_quietly(environ, start_response):
    """Which files' code runs in the child's child before os.fork() returns there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        ran = set()
        sys.setprofile(lambda frame, event, _: ran.add(frame.f_code.co_filename))
        if os.fork() == 0:
            sys.setprofile(None)
            os.write(writing, "\n".join(sorted(ran)).encode())
            os._exit(0)
        os.wait()
        os._exit(0)
    os.waitpid(child, 0)
    start_response("200 OK", PLAIN)
    return [os.read(reading, 10000)]


def sleeper(environ, start_response):
    """A child that knows nothing of its worker's end."""
    own = environ.get("QUERY_STRING") == "own session"
    child = subprocess.Popen(["sleep", "600"], start_new_session=own)
    start_response("200 OK", PLAIN)
    return [b"%d" % child.pid]


def allocates(environ, start_response):
    held = bytearray(int(environ["QUERY_STRING"]))
    start_response("200 OK", PLAIN)
    return [b"%d" % len(held)]


def opens(environ, start_response):
    held = [io.FileIO(os.devnull) for _ in range(int(environ["QUERY_STRING"]))]
    start_response("200 OK", PLAIN)
    return [b"%d" % len(held)]


def holds(environ, start_response):
    """All descriptors that there are, until the end of the response."""
    start_response("200 OK", PLAIN)
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        yield b"held"
        RELEASE.wait(2)
        yield b"."
    finally:
        for fd in held:
            os.close(fd)


LEAK = []


def leaks(environ, start_response):
    LEAK.append(b"x" * int(environ["QUERY_STRING"]))
    start_response("200 OK", PLAIN)
    return [b"%d" % os.getpid()]


def speaks(environ, start_response):
    """Sends what the query says, in hex, in place of frames; then ends as it says."""
    data, _, end = environ["QUERY_STRING"].partition("-")
    frame = sys._getframe()
    while "connection" not in frame.f_locals:
        frame = frame.f_back
    own = frame.f_locals["connection"].socket
    try:
        own.sendall(bytes.fromhex(data))
        if end == "descriptor":
            frame.f_locals["connection"].receive()
            frame.f_locals["connection"].send_descriptor(0)
        while end.startswith("repeat"):  # the last so many bytes
            own.sendall(bytes.fromhex(data)[-int(end[6:]) :])
        if end == "flood":
            while True:
                own.sendall(b"D\xff\xff\xff\xff" + b"x" * 1000000)
        if end == "close":
            own.close()
    except OSError:
        pass
    if end != "close":
        RELEASE.wait(60)
    start_response("200 OK", PLAIN)
    return []


def validated(environ, start_response):
    """What wsgiref says of this server."""

    def simple(environ, start_response):
        body = environ["wsgi.input"].read(10)
        environ["wsgi.errors"].flush()
        start_response("200 OK", PLAIN)
        return [body]

    return validator(simple)(environ, start_response)


def app(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/").split("/")[0]](environ, start_response)
