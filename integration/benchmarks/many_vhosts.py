"""A thousand loaded vhosts: time to load one, memory of one, and what they cost while idle."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

from integration.benchmarks import contenders
from integration.benchmarks.contenders import OURS, THEIRS, Child
from integration.benchmarks.figures import percentile, print_table, quick
from integration.sites.tree import Tree


def hosts(count: int) -> list[str]:
    return [f"site{number}.domain.org" for number in range(count)]


def calls_per_second(pid: int, seconds: float) -> str:
    """System calls of a process and its threads, counted by strace; "?" without strace."""
    if shutil.which("strace") is None:
        return "? (no strace)"
    # timeout's SIGINT makes strace detach and print; it traces by pid and starts nothing.
    command = ["timeout", "-s", "INT", str(seconds), "strace", "-c", "-f", "-p", str(pid)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60).stderr
    if "Operation not permitted" in text:
        return "? (ptrace is not permitted)"
    found = re.search(r"^100\.00 +[\d.]+ +\d+ +(\d+) .*total$", text, re.MULTILINE)
    return f"{int(found[1]) / seconds:.1f}" if found else "0.0"


def measure(child: Child, count: int, seconds: float) -> list[str]:
    child.tell("firsts", hosts=["warm.domain.org"])
    before = child.tell("usage")
    start = time.perf_counter()
    taken = child.tell("firsts", hosts=hosts(count))
    total = time.perf_counter() - start
    after = child.tell("usage")
    time.sleep(2)  # let what the loads left behind come to rest
    idle = child.tell("usage")["cpu"]
    time.sleep(seconds)
    cpu = child.tell("usage")["cpu"] - idle
    return [
        f"{total / count * 1000:.2f}",
        f"{percentile(taken, 0.5) * 1000:.2f} / {percentile(taken, 0.99) * 1000:.2f}",
        f"{(after['rss'] - before['rss']) / count / 1024:.1f}",
        f"{cpu * 1000:.1f}",
        f"{cpu / seconds * 100:.3f}",
        calls_per_second(child.pid, seconds),
        str(int(after["threads"])),
    ]


def main() -> None:
    short = quick(__doc__ or "")
    count, seconds = (100, 2.0) if short else (1000, 45.0)
    # The sweep for lost events is due once a minute and spends at most 0.05 % of a core: its cost
    # is shown by a router that sweeps exactly once while it is being watched.
    rows_of: tuple[tuple[str, str, dict[str, float]], ...] = (
        (OURS, "this router", {"sweep_interval": 0}),
        (OURS, "this router, one sweep", {"sweep_interval": seconds}),
        (THEIRS, "1.0.0", {}),
    )
    rows = []
    with contenders.directory() as root:
        homes = contenders.homes(root)
        tree = Tree(root / "www")
        for host in [*hosts(count), "warm.domain.org"]:
            tree.deploy(host, "trivial")
        for name, title, settings in rows_of:
            with Child(homes[name], tree.base, **settings) as child:
                rows.append([title, *measure(child, count, seconds)])
    idle = f"idle {seconds:.0f} s, ms of CPU"
    heads = [
        "router",
        "load, ms",
        "p50 / p99",
        "KB each",
        idle,
        "% of a core",
        "calls/s",
        "threads",
    ]
    print_table(f"{count} loaded vhosts of one small module", heads, rows)


if __name__ == "__main__":
    main()
