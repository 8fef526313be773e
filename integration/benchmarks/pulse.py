"""What runs in a process of stops.py and status.py: the router, and a request every millisecond.

Standard library and a router, no more. argv: one job, JSON. stdout: what was measured, JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PERIOD = 0.001  # seconds
PULSE = "pulse"  # the site that is asked


def environ(host: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": host,
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


class Server:
    """The router, asked as a server would."""

    def __init__(self, job: dict[str, Any]) -> None:
        from mod_wsgi_van.router import Router

        settings = {"isolation": "imports", "sweep_interval": 0} | job.get("settings", {})
        self.router = Router(base_path=job["base"], **settings)

    def ask(self, host: str) -> bytes:
        said: list[str] = []

        def start_response(status: str, *more: Any) -> Callable[[bytes], object]:
            said.append(status)
            return len  # nobody calls it

        response = self.router.application(environ(host), start_response)
        try:
            body = b"".join(response)
        finally:
            getattr(response, "close", lambda: None)()
        if not said[0].startswith("200"):
            raise RuntimeError(f"{host}: {said[0]} {body[:200]!r}")
        return body

    def live(self, host: str, new: str, link: str, answer: str) -> float:
        """Swap a link; seconds to the first answer of what it leads to."""
        begun = time.perf_counter()
        os.replace(new, link)
        while self.ask(host).decode() != answer:
            time.sleep(0.005)
        return time.perf_counter() - begun


class Pulse:
    """Sends on time, whenever the last answer came; what is late is late from when it was due."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._done = False
        self.taken: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._done:
            due += PERIOD
            if (wait := due - time.perf_counter()) > 0:
                time.sleep(wait)
            self._server.ask(PULSE)
            self.taken.append((time.perf_counter() - due) * 1000)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done = True
        self._thread.join()


def swaps(server: Server, job: dict[str, Any]) -> list[float]:
    """One swap after another, ``pause`` seconds from the begin of one to that of the next."""
    lives = []
    for swap in job["swaps"]:
        taken = server.live(*swap)
        lives.append(taken * 1000)
        time.sleep(max(0.0, job["pause"] - taken))
    return lives


def allocate(server: Server, job: dict[str, Any]) -> list[float]:
    end = time.monotonic() + job["seconds"]
    while time.monotonic() < end:
        server.ask("allocates")
    return []


def nothing(server: Server, job: dict[str, Any]) -> list[float]:
    time.sleep(job["seconds"])
    return []


ACTS = {"swaps": swaps, "allocate": allocate, "nothing": nothing}


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    job = json.loads(sys.argv[1])
    sys.path.insert(0, job["tree"])
    server = Server(job)
    for host in [PULSE, *job["hosts"]]:
        server.ask(host)
    for swap in job["warm"]:
        server.live(*swap)
    time.sleep(3)  # the first quiet seconds
    before = resident()
    with Pulse(server) as pulse:
        time.sleep(1)
        pulse.taken.clear()
        lives = ACTS[job["act"]](server, job)
    during = resident()
    time.sleep(job["quiet"])
    after = resident()
    server.router.shutdown()
    found = {"taken": pulse.taken, "lives": lives, "memory": [before, during, after]}
    print("\n" + json.dumps(found))


main()
