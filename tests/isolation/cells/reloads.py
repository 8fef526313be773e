"""Loads a vhost again and again beside its predecessor, as deploys do, and reports its memory.

Run by each interpreter; on its path are the project and watchdog alone. stdin and stdout: JSON.
"""

from __future__ import annotations

import json
import sys
import time
import weakref
from typing import Any

from mod_wsgi_van.isolation.contract import Instance, Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from tests.support.memory import resident


def main() -> None:
    job = json.load(sys.stdin)
    (described,) = job["sources"]
    described["site_packages"] = tuple(described["site_packages"])
    source = Source(**described)
    isolation = ImportsIsolation()
    memory, applications, current = [], [], None
    for _ in range(job["times"]):
        new = isolation.load(source)
        ask(new, job["cell"])
        applications.append(weakref.ref(new.application))
        if current is not None:
            current.retire()
        current = new
        memory.append(resident())
    del new

    def alive() -> int:
        return sum(application() is not None for application in applications)

    # One whose thread was just ending when it was freed is tried again in a moment.
    deadline = time.monotonic() + 20
    while alive() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    left = alive()
    assert current is not None
    current.retire()
    isolation.shutdown(5)
    print("\n" + json.dumps({"memory": memory, "alive": left}))


def ask(loaded: Instance, cell: str) -> None:
    environ: dict[str, Any] = {"PATH_INFO": f"/{cell}", "QUERY_STRING": "1"}
    said = []
    answer = b"".join(loaded.application(environ, lambda status, headers: said.append(status)))
    assert said == ["200 OK"] and answer, said


if __name__ == "__main__":
    main()
