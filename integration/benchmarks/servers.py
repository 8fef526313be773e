"""Isolations under httpd: both of this router beside gunicorn behind mod_proxy_http and a mod_wsgi
daemon process group of its own for each vhost, in one run, alternating, each with an httpd.

The daemon that holds the router has the manual's 32 threads; a worker, a gunicorn worker and a
daemon group have 8 for each vhost. Ratios are to the router in process, as medians of rounds in
which all four were measured one right after the other.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from integration.benchmarks.contenders import directory
from integration.benchmarks.figures import print_table, quick, spread
from integration.benchmarks.serving.ab import Load, Run, drive
from integration.benchmarks.serving.contender import Contender, Grouped, Proxied, Routed
from integration.benchmarks.serving.deploys import WATCHERS, Deploys, reload
from integration.benchmarks.serving.rounds import in_turn, ratio
from integration.benchmarks.serving.waiting import wait_for_answer
from integration.server.flavours import DEBIAN, flavour, missing
from tests.support.connection import ask
from tests.support.waiting import wait

KB, MB = 1 << 10, 1 << 20
MEASURED = ("one.domain.org", "two.domain.org")
KINDS = ("plain", "flask")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    starts: int  # vhosts of each kind
    reloads: int  # of each kind
    rounds: int  # of each request, and of each throughput
    requests: int  # of 1 KB in one round; a twentieth as many of 1 MB
    seconds: int  # of each throughput


QUICK = Plan(starts=1, reloads=2, rounds=2, requests=200, seconds=1)
FULL = Plan(starts=4, reloads=8, rounds=7, requests=1000, seconds=2)


def host_name(kind: str, number: int) -> str:
    return f"{kind}{number}.domain.org"


def start(kind: str, contender: Contender, number: int) -> float:
    """Milliseconds from the first request, or from what makes one possible, to a whole answer.

    The answer has some 100 bytes: its first byte comes with its last.
    """
    host = host_name(kind, number)
    contender.deploy(host, kind)
    begun = time.perf_counter()
    contender.begin(host)
    wait_for_answer(contender, host)
    return (time.perf_counter() - begun) * 1000


def warm_memory(contender: Contender) -> int:
    """Private bytes with every vhost loaded: starting one daemon group starts all anew."""
    for host in contender.hosts:
        wait_for_answer(contender, host)
    return contender.private()


def starts(contenders: Sequence[Contender], plan: Plan) -> None:
    rows = []
    for kind in KINDS:
        for contender in contenders:  # the first of a kind has things to load for all of them
            start(kind, contender, 0)
        before = [warm_memory(contender) for contender in contenders]
        taken = in_turn(contenders, range(1, plan.starts + 1), partial(start, kind))
        for contender, was in zip(contenders, before, strict=True):
            held = (warm_memory(contender) - was) / plan.starts / MB
            times = taken[contender.name]
            rows.append([kind, contender.name, spread(times, 0), ratio(taken, contender)])
            rows[-1].append(f"{held:.1f}")
    heads = ["application", "contender", "start, ms", "ratio", "private MB per idle vhost"]
    print_table(
        "A cold vhost. Router: its first request. gunicorn: from starting it (httpd knows it"
        " already).\nDaemon group: from apachectl graceful with its configuration added.\nMemory:"
        " Private_* of smaps_rollup, without what a gunicorn master and its worker share.",
        heads,
        rows,
    )


def reloads(contenders: Sequence[Contender], plan: Plan) -> None:
    rows, failures = [], []
    for kind in KINDS:
        met: dict[str, Deploys] = defaultdict(Deploys)
        turns = range(2, plan.reloads + 2)  # the release that is there is 1
        taken = in_turn(contenders, turns, partial(reload, host_name(kind, 0), kind, met))
        for contender in contenders:
            bad, pauses = met[contender.name].bad, met[contender.name].pauses
            failures += [f"{contender.name}: {line[:200]}" for line in bad[:2]]
            back = sum("went back" in line for line in bad)
            row = [kind, contender.name, spread(taken[contender.name], 1), ratio(taken, contender)]
            rows.append([*row, spread(pauses, 1), str(len(bad) - back), str(back)])
    heads = ["application", "contender", "live after, ms", "ratio"]
    heads += ["no answer for, ms", "failed", "older after newer"]
    print_table(
        f"{plan.reloads} deploys of each, asked by {WATCHERS} connections: symlink swap; gunicorn"
        " also SIGHUP.\nThe daemon group notices that its script file is another.",
        heads,
        rows,
    )
    print(*failures, sep="\n", end="\n" if failures else "")


def one_by_one(asked: Load, contender: Contender, _: int) -> float:
    """Microseconds per request."""
    return drive(contender.running.port, [asked])[0].p50 * 1000


def requests(contenders: Sequence[Contender], plan: Plan, body: Path) -> None:
    rows = []
    few = max(20, plan.requests // 10)
    for what, path, upload, count in (
        ("response of 1 KB", f"/body/{KB}", None, plan.requests),
        ("response of 1 MB", f"/body/{MB}", None, few),
        ("upload of 1 MB", "/upload", body, few),
    ):
        asked = Load(MEASURED[0], path, 1, ("-n", str(count)), upload)
        act = partial(one_by_one, asked)
        taken = in_turn(contenders, range(plan.rounds + 1), act)
        taken = {name: times[1:] for name, times in taken.items()}  # the first round warmed up
        for contender in contenders:
            times = spread(taken[contender.name], 0)
            rows.append([what, contender.name, times, ratio(taken, contender)])
    print_table(
        "Microseconds per request, one connection (median of each round)",
        ["", "contender", "us", "ratio"],
        rows,
    )


def burn(
    connections: int, seconds: int, runs: dict[str, list[Run]], contender: Contender, _: int
) -> float:
    """Requests per second of both vhosts at once; ``runs`` gets the percentiles of the slower."""
    limit = ("-t", str(seconds), "-n", "100000")
    asked = [Load(host, "/burn/0.001", connections // 2, limit) for host in MEASURED]
    one, two = drive(contender.running.port, asked)
    run = Run(one.rate + two.rate, max(one.p50, two.p50), max(one.p99, two.p99))
    runs[contender.name].append(run)
    return run.rate


def throughput(contenders: Sequence[Contender], plan: Plan) -> None:
    rows = []
    for connections in (8, 32):
        runs: dict[str, list[Run]] = defaultdict(list)
        act = partial(burn, connections, plan.seconds, runs)
        rates = in_turn(contenders, range(plan.rounds), act)
        for contender in contenders:
            mine = runs[contender.name]
            row = [str(connections), contender.name, spread(rates[contender.name], 0)]
            row += [ratio(rates, contender), spread([run.p50 for run in mine], 1)]
            rows.append([*row, spread([run.p99 for run in mine], 1)])
    print_table(
        "Two CPU-bound vhosts, 1 ms of CPU in each request",
        ["connections", "contender", "requests/s", "ratio", "p50 ms", "p99 ms"],
        rows,
    )


@contextmanager
def opened(root: Path, plan: Plan) -> Iterator[list[Contender]]:
    """All four, with the measured vhosts begun."""
    numbers = range(plan.starts + 1)
    hosts = [*MEASURED, *(host_name(kind, number) for kind in KINDS for number in numbers)]
    made = flavour(DEBIAN, root)
    ways: list[Callable[[], Contender]] = [
        lambda: Routed(made, "imports"),
        lambda: Routed(made, "process"),
        lambda: Proxied(made, hosts),
        lambda: Grouped(made),
    ]
    with ExitStack() as stack:
        contenders = []
        for way in ways:
            contenders.append(way())
            stack.callback(contenders[-1].end)
            contenders[-1].start()
        yield contenders


def begin_measured(contender: Contender) -> None:
    for host in MEASURED:
        contender.running.tree.deploy(host, "measured")
        contender.begin(host)
    wait(
        lambda: all(
            ask(contender.running.port, host, f"/body/{KB}").content == b"x" * KB
            for host in MEASURED
        ),
        f"{contender.name} answers for {MEASURED}",
        tell=contender.running.httpd.log,
    )


def main() -> None:
    plan = QUICK if quick(__doc__ or "") else FULL
    if lack := ("no ab (apt install apache2-utils)" if not shutil.which("ab") else missing(DEBIAN)):
        print(f"cannot be measured here: {lack}")
        return
    print(f"load average before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    with directory() as root, opened(root, plan) as contenders:
        body = root / "upload"
        body.write_bytes(b"x" * MB)
        starts(contenders, plan)
        reloads(contenders, plan)
        for contender in contenders:
            begin_measured(contender)
        requests(contenders, plan, body)
        throughput(contenders, plan)
    print(f"\nload average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
