"""From the swap of one vhost's symlink to the first answer of its new release, among many loaded.

In one process without a server, the vhosts trivial; each number of vhosts in a process of its own,
asked by a second thread that sleeps 0.2 ms between its requests. Beside it what the process
takes: threads, memory, CPU while idle. 1.0.0 polls once a second and is measured under httpd, see
swap_to_live.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from integration.benchmarks.figures import percentile, print_table, quick, spread
from mod_wsgi_van import Router

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{number}"]
"""
GIVES_UP = 30.0  # seconds


def build(base: Path, host: str, number: int) -> Path:
    directory = base / ".builds" / host / str(number)
    (directory / "wsgi").mkdir(parents=True)
    (directory / "wsgi" / "app.py").write_text(APP.format(number=number))
    return directory


def swap(base: Path, host: str, directory: Path) -> None:
    (base / f".{host}").symlink_to(directory)
    os.replace(base / f".{host}", base / host)


def ask(router: Router, host: str) -> bytes:
    return b"".join(router.application({"HTTP_HOST": host}, _start_response))


def _start_response(*head: object) -> Callable[[bytes], object]:
    return lambda data: None


def live(router: Router, base: Path, host: str, number: int) -> float:
    """Milliseconds until the new release answers; it was built a while before."""
    built = build(base, host, number)
    time.sleep(0.2)
    begun = time.perf_counter()
    swap(base, host, built)
    while ask(router, host) != str(number).encode():
        if time.perf_counter() - begun > GIVES_UP:
            raise TimeoutError(f"{host}: release {number} is not live")
        time.sleep(0.0002)
    return (time.perf_counter() - begun) * 1000


def run(count: int, swaps: int, busy: int) -> dict[str, object]:
    """In a process of its own."""
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="van-live-", dir="/var/tmp") as name:
        base = Path(name)
        for number in range(count):
            swap(base, f"h{number}", build(base, f"h{number}", 0))
        router = Router(base_path=name)
        for number in range(count):
            ask(router, f"h{number}")
        before, cpu = time.monotonic(), time.process_time()
        time.sleep(5)
        idle = (time.process_time() - cpu) / (time.monotonic() - before)
        stop = threading.Event()
        threads = [threading.Thread(target=_spin, args=(stop,)) for _ in range(busy)]
        for thread in threads:
            thread.start()
        taken = [live(router, base, f"h{number % count}", number + 1) for number in range(swaps)]
        stop.set()
        for thread in threads:
            thread.join()
        found = {"threads": threading.active_count(), "idle": idle, "taken": taken, "kb": _rss()}
        router.shutdown()
        return found


def _spin(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(1000))


def _rss() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--one":
        print(json.dumps(run(*map(int, sys.argv[2:]))))
        return
    brief = quick(__doc__ or "")
    rows = []
    for count in (100, 1_000) if brief else (100, 1_000, 10_000):
        for busy in (0, 4):
            command = [sys.executable, "-m", __spec__.name, "--one", str(count)]
            command += ["10" if brief else "50", str(busy)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            taken = found["taken"]
            rows.append(
                [
                    f"{count:,}",
                    str(busy),
                    spread(taken, 1),
                    f"{percentile(taken, 0.99):.1f}",
                    str(found["threads"]),
                    f"{found['idle'] * 100:.3f} %",
                    f"{found['kb'] / 1024:,.0f}",
                ]
            )
    heads = ["vhosts", "busy threads", "swap to live, ms", "p99", "threads", "idle CPU", "RSS, MB"]
    print_table("swap to live among loaded vhosts, in process", heads, rows)


if __name__ == "__main__":
    main()
