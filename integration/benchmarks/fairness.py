"""What sites lose by slow ones, and a busy site by its share of the threads, under httpd: with the
share and without it, alternating."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack

from integration.benchmarks.contenders import directory
from integration.benchmarks.figures import percentile, print_table, quick, spread
from integration.benchmarks.serving.ab import Load, drive
from integration.server.flavours import DEBIAN, flavour, missing
from integration.server.running import Running, prepare
from tests.support.connection import Connection, ask
from tests.support.waiting import wait

OTHER = "other.domain.org"
SLOW = ("one.domain.org", "two.domain.org", "three.domain.org")
MANY, SECONDS = 40, 6
WITHOUT = "server_threads=1000000"  # a share that nobody fills
BUSY = (("20 ms of waiting", "/sleep/0.02"), ("1 ms of CPU", "/burn/0.001"), ("1 KB", "/body/1024"))


def times(running: Running, slow: int) -> tuple[list[float], Counter[int]]:
    """Milliseconds of the other site's requests while ``slow`` sites are asked, and what these
    answered."""
    statuses: Counter[int] = Counter()
    took: list[float] = []

    def hold(host: str) -> None:
        statuses[ask(running.port, host, f"/sleep/{SECONDS}").status] += 1

    threads = [threading.Thread(target=hold, args=(h,)) for h in SLOW[:slow] for _ in range(MANY)]
    connection, end = Connection(running.port), time.perf_counter() + SECONDS - 1
    for thread in threads:
        thread.start()
    while time.perf_counter() < end:
        begun = time.perf_counter()
        assert connection.ask(OTHER, "/body/1024").status == 200
        took.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.002)
    connection.close()
    for thread in threads:
        thread.join()
    return took, statuses


def main() -> None:
    short = quick(__doc__ or "")
    if lack := ("no ab (apt install apache2-utils)" if not shutil.which("ab") else missing(DEBIAN)):
        print(f"cannot be measured here: {lack}")
        return
    rounds, busy_rounds, seconds = (1, 2, 1) if short else (3, 9, 2)
    with directory() as root, ExitStack() as stack:
        made = flavour(DEBIAN, root)
        running: dict[tuple[str, str], Running] = {}
        for mode, isolation in (("daemon", "imports"), ("workers", "process")):
            for what, setting in (("share", ""), ("no share", WITHOUT)):
                # A restart in the middle would be measured with one and not with the other.
                changes = ((" maximum-requests=100000", ""),)
                settings = ", ".join(filter(None, [setting, "queue_timeout=60"]))
                one = prepare(made, mode, settings=settings, changes=changes)
                stack.callback(one.end)
                one.httpd.start()
                for host in (OTHER, *SLOW):
                    one.tree.deploy(host, "measured")
                    wait(lambda: ask(one.port, host, "/body/1024").status == 200)  # noqa: B023
                running[isolation, what] = one
        print_others(running, rounds)
        print_busy(running, busy_rounds, seconds)


def print_others(running: dict[tuple[str, str], Running], rounds: int) -> None:
    rows = []
    for slow in (0, 1, 3):
        for (isolation, what), one in running.items():
            found = [times(one, slow) for _ in range(rounds)]
            row = [str(slow), isolation, what]
            for part in (0.5, 0.99, 1):
                row.append(spread([percentile(took, part) for took, _ in found], 1))
            refused = [statuses[503] for _, statuses in found]
            rows.append([*row, spread(refused, 0), str(min(len(took) for took, _ in found))])
    heads = ["slow sites", "isolation", "", "p50 ms", "p99 ms", "max ms", "503", "asked"]
    print_table(
        f"Another site, one connection, while {MANY} requests of {SECONDS} s come to each slow one",
        heads,
        rows,
    )


def print_busy(running: dict[tuple[str, str], Running], rounds: int, seconds: int) -> None:
    rows = []
    limit = ("-t", str(seconds), "-n", "1000000")
    for name, path in BUSY:
        for connections in (24, 40):
            asked = [Load(SLOW[0], path, connections, limit)]
            rates: dict[tuple[str, str], list[float]] = defaultdict(list)
            for turn in range(rounds):
                for key in list(running)[:: 1 if turn % 2 else -1]:
                    rates[key].append(drive(running[key].port, asked)[0].rate)
            for isolation in ("imports", "process"):
                with_, without = rates[isolation, "share"], rates[isolation, "no share"]
                ratios = [one / other for one, other in zip(with_, without, strict=True)]
                row = [name, str(connections), isolation, spread(with_, 0), spread(without, 0)]
                rows.append([*row, spread(ratios)])
    heads = ["request", "connections", "isolation", "share, /s", "no share, /s", "ratio"]
    print_table("One busy site that is alone, requests per second", heads, rows)


if __name__ == "__main__":
    main()
