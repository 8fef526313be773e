"""How long the status of many sites takes, and what a request every millisecond notices of that.

The sites are names of a hundred directories: what a site costs in memory is not asked here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from integration.benchmarks.figures import percentile, print_table, quick, spread
from integration.benchmarks.stops import PULSE, TRIVIAL
from integration.server.flavours import DEPENDENCIES
from mod_wsgi_van.cli.asking import processes
from tests.support.environments import environment
from tests.support.places import PROJECT, open_directory
from tests.support.waiting import wait

_DIRECTORIES = 100
HEADS = ("sites", "asked", "requests", "p50, ms", "p99", "p99.9", "longest", "answer, s", "longest")


def measure(count: int, directory: Path, seconds: float, *, asks: bool) -> dict[str, Any]:
    status = directory / "status"
    hosts = [f"site{number}" for number in range(count)]
    job = {
        "tree": str(PROJECT),
        "base": str(directory / "www"),
        "hosts": hosts,
        "act": "nothing",
        "warm": [],
        "seconds": seconds,
        "quiet": 0,
        "settings": {"status_directory": str(status)},
    }
    home = environment(getattr(sys, "_base_executable", sys.executable), DEPENDENCIES)
    command = [str(home / "bin/python"), "-I", str(PULSE), json.dumps(job)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        wait(lambda: processes(str(status)), "the socket", 60)
        wait(lambda: len(processes(str(status))[0].sites) > count, "all sites", 600, pause=1)
        time.sleep(5)
        taken = []
        while asks and process.poll() is None and any(status.iterdir()):
            begun = time.perf_counter()
            for reply in processes(str(status)):
                if len(reply.sites) == count + 1:  # else the process has come to its end
                    taken.append(time.perf_counter() - begun)
            time.sleep(1)
        found: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
    return found | {"answers": taken}


def _make(base: Path, count: int) -> None:
    for host in ("pulse", *(f"site{number}" for number in range(_DIRECTORIES))):
        (base / host / "wsgi").mkdir(parents=True)
        (base / host / "wsgi/app.py").write_text(TRIVIAL.replace("{release}", host))
    for number in range(_DIRECTORIES, count):
        (base / f"site{number}").symlink_to(f"site{number % _DIRECTORIES}")


def main() -> None:
    short = quick(__doc__ or "")
    table = []
    for count in (200,) if short else (1_000, 10_000):
        for asks in (False, True):
            with open_directory("/var/tmp") as directory:
                (directory / "status").mkdir()
                _make(directory / "www", count)
                found = measure(count, directory, 5 if short else 30, asks=asks)
            late, answers = found["taken"], found["answers"]
            parts = [f"{percentile(late, part):.2f}" for part in (0.5, 0.99, 0.999, 1)]
            told = [spread(answers), f"{max(answers):.2f}"] if answers else ["", ""]
            said = "each second" if asks else "no"
            table.append([str(count), said, str(len(late)), *parts, *told])
    print_table("a request every millisecond, from when it was due", HEADS, table)


if __name__ == "__main__":
    main()
