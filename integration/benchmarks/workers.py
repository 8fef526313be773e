"""Worker processes beside the application in this process, without httpd: the figures of both.

Targets for a worker: at most 60 us added to a request of 1 KB, at most 25 MB of private memory for
an idle Flask vhost, a release ready within 50 ms beyond its own import, two CPU-bound vhosts at 1.5
times the throughput and a quarter of the p99, streams at 0.7 of the plain socket.
"""

from __future__ import annotations

import functools
import io
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from integration.benchmarks.figures import percentile, print_table, quick, spread
from integration.sites.libraries import FLASK3
from mod_wsgi_van.isolation.contract import Instance, Isolation, Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.isolation.process.frames import CHUNK_BYTES
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.wsgi import Application
from tests.support import memory
from tests.support.environments import environment, site_packages
from tests.support.threads import in_threads

KB, MB = 1 << 10, 1 << 20
CLIENTS = 8
BATCH = 50  # requests of one kind, before as many of another

PLAIN = """
import os, time
BEGUN = time.perf_counter()
{imports}
IMPORTED = time.perf_counter() - BEGUN
BODIES = {{size: b"x" * size for size in (1 << 10, 1 << 16, 1 << 20)}}

def app(environ, start_response):
    kind, _, number = environ["PATH_INFO"][1:].partition("/")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if kind == "body":
        return [BODIES[int(number)]]
    if kind == "upload":
        return [b"%d" % len(environ["wsgi.input"].read())]
    if kind == "burn":
        end = time.thread_time() + float(number)
        while time.thread_time() < end:
            pass
        return [b"burnt"]
    if kind == "stream":
        size, _, blocks = number.partition("/")
        return (BODIES[int(size)] for _ in range(int(blocks)))
    return [repr((os.getpid(), IMPORTED)).encode()]
"""
FLASK = "from flask import Flask\nflask_app = Flask(__name__)"

ISOLATIONS: dict[str, Callable[[], Isolation]] = {
    "this process": ImportsIsolation,
    "worker": lambda: ProcessIsolation(Settings()),
}


@contextmanager
def loaded(source: Source, isolation: Isolation) -> Iterator[Instance]:
    release = isolation.load(source)
    try:
        yield release
    finally:
        release.retire()


def vhost(base: Path, name: str, env: Path, *, flask: bool = False) -> Source:
    wsgi = base / name / "wsgi"
    wsgi.mkdir(parents=True)
    (wsgi / "app.py").write_text(PLAIN.format(imports=FLASK if flask else ""))
    return Source(
        host=name,
        directory=str(wsgi),
        venv=str(env),
        site_packages=(str(site_packages(env)),),
        module_name="app",
        object_name="app",
        python=str(env / "bin" / "python"),
    )


def request(application: Application, path: str, body: bytes = b"") -> bytes:
    """One request with the environ that Apache would make; returns the last block."""
    environ: dict[str, Any] = {f"HTTP_X_{n}": "the value of a header" for n in range(20)}
    environ |= {"REQUEST_METHOD": "POST" if body else "GET", "PATH_INFO": path}
    environ |= {"SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
    environ |= {"CONTENT_LENGTH": str(len(body)) if body else "", "wsgi.url_scheme": "http"}
    environ |= {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
    block = b""
    response = application(environ, lambda status, headers, exc_info=None: print)
    for block in response:  # noqa: B007 - the last one is what is wanted
        pass
    if hasattr(response, "close"):
        response.close()
    return block


def request_costs(base: Path, env: Path, rounds: int) -> None:
    """Time of a request, alternating between both, and what the worker adds; beside it that of
    as many bytes to and from a process that does nothing else."""
    source = vhost(base, "cost", env)
    isolations = [make() for make in ISOLATIONS.values()]
    with loaded(source, isolations[0]) as here, loaded(source, isolations[1]) as there:
        rows = []
        for name, path, size, body in (
            ("response of 1 KB", f"/body/{KB}", KB, b""),
            ("response of 1 MB", f"/body/{MB}", MB, b""),
            ("upload of 1 MB", "/upload", KB, b"x" * MB),
        ):
            with plain_trip(KB + len(body), size) as trip:
                actions: list[Callable[[], object]] = [
                    functools.partial(request, here.application, path, body),
                    functools.partial(request, there.application, path, body),
                    trip,
                ]
                columns: list[list[float]] = [[] for _ in actions]
                for _ in range(rounds // BATCH):
                    for action, times in zip(actions, columns, strict=True):
                        times += [timed(action) * 1e6 for _ in range(BATCH)]
            columns.append([there - here for here, there in zip(*columns[:2], strict=True)])
            rows.append([name, *(spread(column, 0) for column in columns)])
    for isolation in isolations:
        isolation.shutdown(5)
    heads = ["", *ISOLATIONS, "plain socket", "added"]
    print_table("Microseconds per request", heads, rows)


@contextmanager
def plain_trip(up: int, down: int) -> Iterator[Callable[[], None]]:
    """A call that sends ``up`` bytes to another process and gets ``down`` bytes back."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        while _receive(theirs, up):
            theirs.sendall(bytes(down))
        os._exit(0)
    theirs.close()
    data = bytes(up)

    def trip() -> None:
        ours.sendall(data)
        _receive(ours, down)

    with ours:
        yield trip
    os.waitpid(pid, 0)


def _receive(end: socket.socket, size: int) -> bool:
    while size and (part := end.recv(min(size, CHUNK_BYTES))):
        size -= len(part)
    return size == 0


def timed(act: Callable[..., object], *arguments: object) -> float:
    begun = time.perf_counter()
    act(*arguments)
    return time.perf_counter() - begun


def cpu_bound(base: Path, env: Path, seconds: float) -> None:
    """Two vhosts, 1 ms of work per request, from 8 threads that ask both in turn."""
    sources = [vhost(base, f"burn{number}", env) for number in range(2)]
    rows = []
    for name, make in ISOLATIONS.items():
        isolation = make()
        with loaded(sources[0], isolation) as one, loaded(sources[1], isolation) as two:
            times = hammer([one.application, two.application], seconds)
        isolation.shutdown(5)
        p50, p99 = (percentile(times, part) * 1000 for part in (0.5, 0.99))
        rows.append([name, f"{len(times) / seconds:.0f}", f"{p50:.1f}", f"{p99:.1f}"])
    print_table(
        f"Two CPU-bound vhosts, {CLIENTS} client threads", ["", "req/s", "p50 ms", "p99 ms"], rows
    )


def hammer(applications: list[Application], seconds: float) -> list[float]:
    """The times of requests from all clients."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        while time.perf_counter() < end:
            number += 1
            times.append(timed(request, applications[number % 2], "/burn/0.001"))

    in_threads(CLIENTS, client)
    return times


def memory_and_starts(base: Path, env: Path, rounds: int) -> None:
    """Private memory of an idle worker; time to the first answer, beyond the imports' own."""
    rows = []
    for name, flask in (("plain", False), ("Flask", True)):
        source = vhost(base, f"start-{name}", env, flask=flask)
        for kind, make in ISOLATIONS.items():
            isolation = make()
            first, beyond, private = [], [], []
            for _ in range(rounds + 1):
                begun = time.perf_counter()
                with loaded(source, isolation) as release:
                    pid, imports = eval(request(release.application, "/about"))
                    first.append((time.perf_counter() - begun) * 1000)
                    beyond.append(first[-1] - imports * 1000)
                    private.append(memory.private(pid) / MB if pid != os.getpid() else 0.0)
                while pid != os.getpid() and Path(f"/proc/{pid}").exists():
                    time.sleep(0.005)  # its end must not weigh on the next start
            isolation.shutdown(5)
            held = spread(private[1:], 1) if private[0] else "-"
            rows.append([name, kind, spread(first[1:], 0), spread(beyond[1:], 0), held])
    heads = ["application", "", "first answer, ms", "beyond its imports, ms", "private MB idle"]
    print_table("A cold vhost, or a new release", heads, rows)


def streams(base: Path, env: Path, rounds: int) -> None:
    """1 GB of response in blocks, beside a plain pair of sockets between two processes."""
    isolation = ProcessIsolation(Settings())
    rows = []
    with loaded(vhost(base, "stream", env), isolation) as release:
        for name, size in (("64 KB", 1 << 16), ("1 MB", MB)):
            blocks = (1 << 30) // size
            plain, ours = [], []
            for _ in range(rounds):
                plain.append(1 / timed(plain_stream, size, blocks))
                ours.append(1 / timed(request, release.application, f"/stream/{size}/{blocks}"))
            ratio = [our / bare for our, bare in zip(ours, plain, strict=True)]
            rows.append([name, spread(plain), spread(ours), spread(ratio)])
    isolation.shutdown(5)
    print_table("Streamed response, GB/s", ["blocks of", "plain socket", "worker", "ratio"], rows)


def plain_stream(size: int, blocks: int) -> None:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        block = b"x" * size
        for _ in range(blocks):
            theirs.sendall(block)
        os._exit(0)
    theirs.close()
    with ours:
        while ours.recv(CHUNK_BYTES):
            pass
    os.waitpid(pid, 0)


def main() -> None:
    short = quick(__doc__ or "")
    env = environment(getattr(sys, "_base_executable", sys.executable), FLASK3)
    with tempfile.TemporaryDirectory(prefix="van-workers-") as directory:
        base = Path(directory)
        request_costs(base, env, 200 if short else 3000)
        cpu_bound(base, env, 1.0 if short else 5.0)
        memory_and_starts(base, env, 2 if short else 15)
        streams(base, env, 1 if short else 7)


if __name__ == "__main__":
    main()
