"""Requests per second and p50/p99 under httpd, beside the application without a router.

Target: at least 0.97 of its throughput at 1, 8 and 32 connections, as the median of pairs that were
measured one right after the other. ``ab`` makes the load: it comes with Debian's httpd and is in C,
so on two cores most of the time is the server's.
"""

from __future__ import annotations

import csv
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from integration import places
from integration.benchmarks import contenders
from integration.benchmarks.contenders import ALONE, OURS, THEIRS
from integration.benchmarks.figures import print_table, quick, spread
from integration.server.flavours import DEBIAN, MODULES, Flavour
from integration.server.running import Running, prepare

HOST = "one.domain.org"
CONNECTIONS = (1, 8, 32)


@dataclass(frozen=True, slots=True)
class Run:
    rate: float  # requests per second
    p50: float  # milliseconds
    p99: float


def ab(port: int, connections: int, requests: int) -> Run:
    """Drive the server with keep-alive connections; an answer that is not 200 is an error."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as percentiles:
        command = ["ab", "-q", "-k", "-c", str(connections), "-n", str(requests)]
        command += ["-H", f"Host: {HOST}", "-e", percentiles.name, f"http://127.0.0.1:{port}/"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        table = list(csv.reader(Path(percentiles.name).read_text().splitlines()[1:]))
    if re.search(r"Non-2xx|Failed requests: +[1-9]", done.stdout):
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests per second: +([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    times = {int(row[0]): float(row[1]) for row in table}
    return Run(float(found[1]), times[50], times[99])


def start(name: str, home: Path) -> Running:
    flavour = Flavour(DEBIAN, MODULES / "mod_wsgi.so", home, places.system_python())
    running = prepare(flavour, "daemon")
    running.tree.deploy(HOST, "trivial")
    if name == ALONE:
        wsgi = running.tree.base / HOST / "wsgi"
        text = (
            f"import sys\nsys.path.insert(0, {str(wsgi)!r})\nfrom app import app as application\n"
        )
        (running.layout.etc / "app.wsgi").write_text(text)
    running.httpd.start()
    if running.ask(HOST).status != 200:
        raise RuntimeError(running.httpd.log())
    return running


def measure(
    servers: dict[str, Running], connections: int, requests: int, rounds: int
) -> dict[str, list[Run]]:
    """Alternate between the servers, each round in another order."""
    runs: dict[str, list[Run]] = {name: [] for name in servers}
    for server in servers.values():
        ab(server.port, connections, requests // 4)
    for number in range(rounds):
        order = list(servers)
        shift = number % len(order)
        for name in order[shift:] + order[:shift]:
            runs[name].append(ab(servers[name].port, connections, requests))
    return runs


def main() -> None:
    short = quick(__doc__ or "")
    rounds, requests = (3, 1000) if short else (15, 4000)
    rows = []
    with contenders.directory() as root:
        homes = contenders.homes(root)
        servers: dict[str, Running] = {}
        try:
            for name in (ALONE, OURS, THEIRS):
                servers[name] = start(name, homes[name])
            for connections in CONNECTIONS:
                runs = measure(servers, connections, requests, rounds)
                rows += [row(name, connections, runs) for name in servers]
        finally:
            for server in servers.values():
                server.end()
    heads = ["connections", "contender", "requests/s", "of the application alone", "p50 ms", "p99"]
    print_table("throughput under httpd (median [quartiles])", heads, rows)


def row(name: str, connections: int, runs: dict[str, list[Run]]) -> list[str]:
    ratios = [mine.rate / alone.rate for mine, alone in zip(runs[name], runs[ALONE], strict=True)]
    return [
        str(connections),
        name,
        spread([run.rate for run in runs[name]], 0),
        spread(ratios, 3),
        spread([run.p50 for run in runs[name]]),
        spread([run.p99 for run in runs[name]]),
    ]


if __name__ == "__main__":
    main()
