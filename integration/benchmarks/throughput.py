"""Requests per second and p50/p99 under httpd, beside the application without a router.

Target: at least 0.97 of its throughput at 1, 8 and 32 connections, as the median of pairs that were
measured one right after the other. ``ab`` makes the load: it comes with Debian's httpd and is in C,
so on two cores most of the time is the server's.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from integration.benchmarks import contenders
from integration.benchmarks.contenders import ALONE, OURS, ROUTERS, THEIRS
from integration.benchmarks.figures import print_table, quick, spread
from integration.benchmarks.serving.ab import Load, Run, drive
from integration.server.flavours import DEBIAN, MODULES, Flavour, missing
from integration.server.programs import system_python
from integration.server.running import Running, prepare
from tests.support.children import descendants

HOST = "one.domain.org"
CONNECTIONS = (1, 8, 32)
REQUESTS = 1500  # per run: short, so that what else the machine does meets both of a pair


@dataclass(frozen=True, slots=True)
class Costly:
    """A run, and what it cost of the CPU."""

    run: Run
    cpu: float  # microseconds per request, of all of httpd's processes


def cpu(running: Running) -> int:
    """Nanoseconds of CPU that httpd's processes have used; other programs do not disturb it."""
    stats = (
        stat
        for pid in descendants(running.httpd.process.pid)
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )
    return sum(int(stat.read_text().split()[0]) for stat in stats)


Pair = tuple[Costly, Costly]  # the application alone, a router


def drive_once(running: Running, connections: int) -> Costly:
    before = cpu(running)
    (run,) = drive(running.port, [Load(HOST, "/", connections, ("-n", str(REQUESTS)))])
    return Costly(run, (cpu(running) - before) / REQUESTS / 1000)


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
        runs = {id(server): drive_once(server, connections) for server in order}
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
        mine = [pair[index] for pair in pairs]
        ratios = ["", ""]
        if index:
            rates = [router.run.rate / alone.run.rate for alone, router in pairs]
            ratios = [
                spread(rates, 3),
                spread([router.cpu / alone.cpu for alone, router in pairs], 3),
            ]
        row = [str(connections), contender, spread([each.run.rate for each in mine], 0), ratios[0]]
        row += [spread([each.run.p50 for each in mine]), spread([each.run.p99 for each in mine])]
        rows.append([*row, spread([each.cpu for each in mine], 1), ratios[1]])
    return rows


if __name__ == "__main__":
    main()
