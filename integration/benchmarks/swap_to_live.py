"""From the rename that swaps a vhost's symlink to the first answer of the new release, on httpd."""

from __future__ import annotations

import time

from integration.benchmarks import contenders
from integration.benchmarks.contenders import ROUTERS
from integration.benchmarks.figures import percentile, print_table, quick, spread
from integration.benchmarks.throughput import HOST, start
from integration.server.flavours import DEBIAN, missing
from integration.server.running import Running
from tests.support.connection import Connection

# Seconds after which a release counts as never seen; 1.0.0 needs its poll of one second.
GIVES_UP = 10.0


def swap(running: Running, connection: Connection, number: int) -> float:
    """Milliseconds."""
    built = running.tree.build(HOST, "plain", number)
    running.tree.swap(HOST, built)
    begun = time.perf_counter()
    while time.perf_counter() - begun < GIVES_UP:
        answer = connection.ask(HOST)
        if answer.status == 200 and answer.body.count(f'["one", "{number}"]') == 2:
            return (time.perf_counter() - begun) * 1000
    return GIVES_UP * 1000


def main() -> None:
    swaps = 5 if quick(__doc__ or "") else 40
    if lack := missing(DEBIAN):
        print(f"cannot be measured here: {lack}")
        return
    rows = []
    with contenders.directory() as root:
        homes = contenders.homes(root)
        for name in ROUTERS:
            running = start(name, homes[name])
            try:
                connection = Connection(running.port)
                running.tree.deploy(HOST, "plain", 0)
                taken = [swap(running, connection, number) for number in range(1, swaps + 1)]
                connection.close()
            finally:
                running.end()
            rows.append([name, spread(taken, 1), f"{percentile(taken, 0.99):.1f}"])
    print_table(f"swap to live, {swaps} swaps", ["router", "ms", "p99"], rows)


if __name__ == "__main__":
    main()
