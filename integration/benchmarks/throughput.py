"""Requests per second and p50/p99 under httpd, beside the application without a router.

Target: at least 0.97 of its throughput at 1, 8 and 32 connections, as the median of pairs that were
measured one right after the other. ``ab`` makes the load: it comes with Debian's httpd and is in C,
so on two cores most of the time is the server's.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from integration.benchmarks import contenders
from integration.benchmarks.contenders import ALONE, OURS, ROUTERS, THEIRS
from integration.benchmarks.figures import print_table, quick, spread
from integration.server.flavours import DEBIAN, MODULES, Flavour, missing
from integration.server.programs import system_python
from integration.server.running import Running, prepare
from tests.support.children import descendants

HOST = "one.domain.org"
CONNECTIONS = (1, 8, 32)
REQUESTS = 1500  # per run: short, so that what else the machine does meets both of a pair


@dataclass(frozen=True, slots=True)
class Run:
    rate: float  # requests per second
    p50: float  # milliseconds
    p99: float
    cpu: float  # microseconds per request, of all of httpd's processes


def cpu(running: Running) -> int:
    """Nanoseconds of CPU that httpd's processes have used; other programs do not disturb it."""
    stats = (
        stat
        for pid in descendants(running.httpd.process.pid)
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )
    return sum(int(stat.read_text().split()[0]) for stat in stats)


Pair = tuple[Run, Run]  # the application alone, a router


def ab(running: Running, connections: int) -> Run:
    """Drive the server with keep-alive connections; an answer that is not 200 is an error."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as percentiles:
        command = ["ab", "-q", "-k", "-c", str(connections), "-n", str(REQUESTS)]
        command += [
            "-H",
            f"Host: {HOST}",
            "-e",
            percentiles.name,
            f"http://127.0.0.1:{running.port}/",
        ]
        before = cpu(running)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        used = cpu(running) - before
        table = list(csv.reader(Path(percentiles.name).read_text().splitlines()[1:]))
    if re.search(r"Non-2xx|Failed requests: +[1-9]", done.stdout):
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests per second: +([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    times = {int(row[0]): float(row[1]) for row in table}
    return Run(float(found[1]), times[50], times[99], used / REQUESTS / 1000)


def start(name: str, home: Path) -> Running:
    flavour = Flavour(DEBIAN, MODULES / "mod_wsgi.so", home, system_python())
    running = prepare(flavour, "daemon")
    running.tree.deploy(HOST, "trivial")
    if name == ALONE:
        wsgi = running.tree.base / HOST / "wsgi"
        text = (
            f"import sys\nsys.path.insert(0, {str(wsgi)!r})\nfrom app import app as application\n"
        )
        (running.layout.etc / "app.wsgi").write_text(text)
    try:
        running.httpd.start()
        if running.ask(HOST).status != 200:
            raise RuntimeError(running.httpd.log())
    except BaseException:
        running.end()
        raise
    return running


def measure(alone: Running, router: Running, connections: int, pairs: int) -> list[Pair]:
    """Runs of the application alone and of a router, one right after the other, in turn first."""
    found: list[Pair] = []
    for number in range(pairs + 1):
        order = (alone, router) if number % 2 else (router, alone)
        runs = {id(server): ab(server, connections) for server in order}
        found.append((runs[id(alone)], runs[id(router)]))
    return found[1:]  # the first pair warmed up


def main() -> None:
    pairs = 3 if quick(__doc__ or "") else 40
    if lack := ("no ab (apt install apache2-utils)" if not shutil.which("ab") else missing(DEBIAN)):
        print(f"cannot be measured here: {lack}")
        return
    rows = []
    with contenders.directory() as root:
        homes = contenders.homes(root)
        servers: dict[str, Running] = {}
        try:
            for name in (ALONE, OURS, THEIRS):
                servers[name] = start(name, homes[name])
            for connections in CONNECTIONS:
                for name in ROUTERS:
                    found = measure(servers[ALONE], servers[name], connections, pairs)
                    rows += table_rows(name, connections, found)
        finally:
            for server in servers.values():
                server.end()
    heads = ["connections", "contender", "requests/s", "of the application alone", "p50 ms", "p99"]
    heads += ["CPU us/request", "of alone"]
    print_table("throughput under httpd (median [quartiles])", heads, rows)


def table_rows(name: str, connections: int, pairs: list[Pair]) -> list[list[str]]:
    rows = []
    for contender, index in ((ALONE, 0), (name, 1)):
        runs = [pair[index] for pair in pairs]
        ratio = "" if index == 0 else spread([run.rate / alone.rate for alone, run in pairs], 3)
        rate = spread([run.rate for run in runs], 0)
        more = "" if index == 0 else spread([run.cpu / alone.cpu for alone, run in pairs], 3)
        times = [spread([run.p50 for run in runs]), spread([run.p99 for run in runs])]
        rows.append(
            [
                str(connections),
                contender,
                rate,
                ratio,
                *times,
                spread([run.cpu for run in runs], 1),
                more,
            ]
        )
    return rows


if __name__ == "__main__":
    main()
