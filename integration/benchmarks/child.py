"""What runs in a contender's process; standard library and one of the routers, no more.

Commands come as JSON lines on stdin, answers go to what was stdout. See contenders.Child.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import random
import resource
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE: dict[str, Any] = {}


def environ(host: str, path: str = "/") -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "HTTP_HOST": host,
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "mod_wsgi.script_name": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    STATE["status"] = status


def open_router(base: str, settings: dict[str, Any], router: str = "") -> None:
    """``router``: the file of another class ``Router`` than the installed package's."""
    if router:
        router_class = runpy.run_path(router)["Router"]
    else:
        router_class = importlib.import_module("mod_wsgi_van.router").Router
    STATE["router"] = router_class(base_path=base, **settings)


def load_alone(paths: list[str]) -> None:
    """Import the application app.app as plain Python would."""
    sys.path[:0] = paths
    STATE["alone"] = importlib.import_module("app").app
    STATE["paths"] = paths
    del sys.path[: len(paths)]


def keep_no_bytecode() -> None:
    sys.dont_write_bytecode = True


def first(host: str) -> float:
    """One request; seconds."""
    start = time.perf_counter()
    answer = b"".join(STATE["router"].application(environ(host), start_response))
    taken = time.perf_counter() - start
    if not STATE["status"].startswith("200"):
        raise RuntimeError(f"{host}: {STATE['status']} {answer[:200]!r}")
    return taken


def firsts(hosts: list[str]) -> list[float]:
    return [first(host) for host in hosts]


def lives(swaps: list[tuple[str, str, str, str]], limit: float, pause: float) -> list[float]:
    """Seconds from each rename of a link to the first answer of its new release.

    ``swaps``: host, new link, link, answer. After ``limit`` seconds one counts as never seen.
    ``pause``: at most between two, at random, or who polls is always met at the same moment.
    """
    order = random.Random(1)
    return [_live(*swap, limit, order.random() * pause) for swap in swaps]


def _live(host: str, new: str, link: str, answer: str, limit: float, pause: float) -> float:
    time.sleep(pause)
    taken, start = 0.0, time.perf_counter()
    os.replace(new, link)
    while taken < limit:
        parts = STATE["router"].application(environ(host), start_response)
        text = b"".join(parts).decode()
        taken = time.perf_counter() - start
        if text == answer:
            break
        time.sleep(0.0002)
    return taken


def spin(threads: int) -> None:
    """Keep as many threads busy with Python code, until told 0."""
    STATE["spin"] = threads
    for _ in range(threads):
        threading.Thread(target=_spin, daemon=True).start()


def _spin() -> None:
    while STATE["spin"]:
        sum(range(1000))


def alone(host: str, path: str, requests: int) -> float:
    """Seconds per request of the application without a router."""
    sys.path[:0] = STATE["paths"]  # for what it imports lazily
    try:
        return _batch(STATE["alone"], host, path, requests)
    finally:
        del sys.path[: len(STATE["paths"])]


def routed(host: str, path: str, requests: int) -> float:
    """Seconds per request through the router."""
    return _batch(STATE["router"].application, host, path, requests)


def _batch(application: Any, host: str, path: str, requests: int) -> float:
    """A new environ per request, as a server makes one; making it is not counted. It goes with the
    request: for as long as it lives, the request counts as one under way."""
    environs = [environ(host, path) for _ in range(requests)]
    clock, respond, take = time.thread_time, start_response, environs.pop  # others have the cores
    start = clock()
    while environs:
        for _ in application(take(), respond):
            pass
    taken = clock() - start
    if not STATE["status"].startswith("200"):
        raise RuntimeError(STATE["status"])
    return taken / requests


def usage() -> dict[str, float]:
    """Seconds of CPU so far, bytes resident, threads, modules."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "rss": resident,
        "threads": len(os.listdir("/proc/self/task")),
        "modules": len(sys.modules),
    }


def descriptors() -> list[int]:
    """Open ones, inotify instances, inotify watches: listing many of those takes 0.1 s."""
    instances = watches = 0
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    for number in numbers:
        with contextlib.suppress(OSError):
            instances += "inotify" in os.readlink(f"/proc/self/fd/{number}")
            watches += Path(f"/proc/self/fdinfo/{number}").read_text().count("inotify wd:")
    return [len(numbers) - 1, instances, watches]  # one was for the listing


COMMANDS: dict[str, Callable[..., Any]] = {
    "open": open_router,
    "load_alone": load_alone,
    "keep_no_bytecode": keep_no_bytecode,
    "first": first,
    "firsts": firsts,
    "alone": alone,
    "routed": routed,
    "lives": lives,
    "spin": spin,
    "usage": usage,
    "descriptors": descriptors,
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an application prints is no answer
    for line in sys.stdin:
        what, arguments = json.loads(line)
        try:
            answer = {"result": COMMANDS[what](**arguments)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    STATE["router"].shutdown()


main()
