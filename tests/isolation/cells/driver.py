"""Hammers vhosts in this process from many threads and reports every answer that is not as in a
process of the vhost's own.

Run by each interpreter; on its path are the project and watchdog alone. stdin and stdout: JSON.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import random
import sys
import threading
import traceback
from typing import Any

from mod_wsgi_van.isolation.contract import Instance, Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from tests.support.threads import in_threads

Failures = dict[str, list[str]]
THREADS = 8
PATIENCE = 240  # seconds
CHURNED = 5  # loads at least, however slow they are


def main() -> None:
    # Whoever waits for this process should see where it hangs.
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    job = json.load(sys.stdin)
    if job.pop("subinterpreter", False):
        in_subinterpreter(job)
    isolation = ImportsIsolation()
    sources = [Source(**{**s, "site_packages": tuple(s["site_packages"])}) for s in job["sources"]]
    run = Run(isolation, sources, job)
    failures = run.stress() if job.get("calls") else run.matrix()
    for loaded in run.loaded:
        loaded.retire()
    isolation.shutdown(5)
    print("\n" + json.dumps({"failures": failures, "answered": run.answered}))


def in_subinterpreter(job: Any) -> None:
    """Run this script once more in a sub-interpreter as mod_wsgi makes them; does not return."""
    code = (
        f"import io, sys\nsys.path[:], sys.argv[:] = {sys.path!r}, ['driver']\n"
        f"sys.stdin = io.StringIO({json.dumps(job)!r})\n"
        f"exec(compile(open({__file__!r}).read(), 'driver', 'exec'), {{'__name__': '__main__'}})\n"
        "sys.stdout.flush()\n"
    )
    if sys.version_info >= (3, 13):
        import _interpreters

        interpreter = _interpreters.create("legacy")  # lives as long as this refers to it
        failed = _interpreters.run_string(interpreter, code)
    else:
        import _xxsubinterpreters

        interpreter = _xxsubinterpreters.create(isolated=False)
        failed = _xxsubinterpreters.run_string(interpreter, code)
    if failed:
        print(failed, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if failed else 0)


class Run:
    def __init__(self, isolation: ImportsIsolation, sources: list[Source], job: Any) -> None:
        self.isolation, self.sources, self.job = isolation, sources, job
        self.expected: list[dict[str, list[str]]] = job["expected"]
        self.failures: Failures = {}
        self.answered = 0
        self.lock = threading.Lock()
        self.loaded: list[Instance] = [isolation.load(source) for source in sources[:2]]

    def matrix(self) -> Failures:
        """Every thread: all cells in an order of its own, each asked of both vhosts in turn."""

        def work(number: int) -> None:
            order = random.Random(number)
            cells = list(self.job["cells"])
            for turn in range(self.job["turns"]):
                order.shuffle(cells)
                for cell in cells:
                    if turn < len(self.expected[0][cell]):
                        own, other = number % 2, (number + 1) % 2
                        for vhost in (own,) if self.job.get("apart") else (own, other):
                            self.ask(vhost, cell, turn)

        in_threads(THREADS, work)
        return self.failures

    def stress(self) -> Failures:
        """Random cells, while a third vhost is loaded, asked, and retired throughout."""
        done = threading.Event()

        def churn() -> None:
            order = random.Random("churn")
            for number in itertools.count():
                if done.is_set() and number >= CHURNED:
                    break
                try:
                    loaded = self.isolation.load(self.sources[2])
                    for cell in order.sample(self.job["churned"], 5):
                        self.check(loaded, 0, cell, 0)
                    loaded.retire()
                except BaseException:
                    self.fail("churn", traceback.format_exc())

        def work(number: int) -> None:
            order = random.Random(number)
            for _ in range(self.job["calls"]):
                cell = order.choice(self.job["cells"])
                turn = order.randrange(len(self.expected[0][cell]))
                self.ask(order.randrange(2), cell, turn)

        churner = threading.Thread(target=churn)
        churner.start()
        in_threads(THREADS, work)
        done.set()
        churner.join()
        return self.failures

    def ask(self, vhost: int, cell: str, turn: int) -> None:
        self.check(self.loaded[vhost], vhost, cell, turn)

    def check(self, loaded: Instance, vhost: int, cell: str, turn: int) -> None:
        environ = {"PATH_INFO": f"/{cell}", "QUERY_STRING": str(turn)}
        try:
            answer = b"".join(loaded.application(environ, lambda *args: None)).decode()
        except BaseException:
            self.fail(cell, traceback.format_exc())
            return
        with self.lock:
            self.answered += 1
        if answer != self.expected[vhost][cell][turn]:
            self.fail(cell, f"{answer!r} instead of {self.expected[vhost][cell][turn]!r}")

    def fail(self, cell: str, text: str) -> None:
        with self.lock:
            self.failures.setdefault(cell, []).append(text[-3000:])


if __name__ == "__main__":
    main()
