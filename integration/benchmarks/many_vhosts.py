"""Many loaded vhosts in one process: what each takes, what they cost while idle, and the time from
the rename that swaps one's symlink to the first answer of its new release.

Each row is a process of its own, without a server. "plain Observer" is the router of plain.py.

No bytecode is written, as where Apache's user may not write in a release. 1.0.0 takes its own for a
change: at 10,000 vhosts it reloads the first while the last are being loaded, and answers every
later swap with the code of one and the same other site (4 of 4 runs; 20 s were not enough).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from integration.benchmarks import contenders
from integration.benchmarks.contenders import OURS, THEIRS, Child
from integration.benchmarks.figures import percentile, print_table, quick, spread

PLAIN = Path(__file__).with_name("plain.py")
BUSY_THREADS = 4
IDLE = 10.0  # seconds
GIVES_UP = 20.0  # seconds; 1.0.0 polls once a second
APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{release}"]
"""


@dataclass(frozen=True)
class Way:
    title: str
    home: str
    settings: dict[str, object] = field(default_factory=dict)
    router: str = ""
    polls: float = 0.0  # seconds


# The sweep for lost events is due once a minute and spends at most 0.05 % of a core: its cost is
# shown by a router that sweeps exactly once while it is being watched.
WAYS = (
    Way("this router", OURS, {"sweep_interval": 0}),
    Way("same, one sweep", OURS, {"sweep_interval": IDLE}),
    Way("same, polling", OURS, {"watch": "polling"}, polls=1.0),
    Way("1.0.0", THEIRS, polls=1.0),
    Way("plain Observer", OURS, router=str(PLAIN)),
)
HEADS = (
    "vhosts", "router", "load, ms", "p99", "KB each", "threads", "fds", "inotify", "watches",
    "idle CPU, %", "calls/s", "swap to live, ms", "p99", f"{BUSY_THREADS} busy threads, ms", "p99",
)  # fmt: skip


def release(base: Path, host: str, number: int) -> None:
    """A release, and beside the vhost's link the one that will take its place."""
    built = base / ".builds" / host / str(number)
    (built / "wsgi").mkdir(parents=True)
    (built / "wsgi" / "app.py").write_text(APP.format(release=number))
    (base / f".{host}.{number}").symlink_to(built.relative_to(base))


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


def lives(child: Child, base: Path, hosts: list[str], number: int, polls: float) -> list[str]:
    """Swap each host to a release that was built a while before; milliseconds."""
    for host in hosts:
        release(base, host, number)
    time.sleep(1)
    swaps = [
        (host, str(base / f".{host}.{number}"), str(base / host), str(number)) for host in hosts
    ]
    taken = [each * 1000 for each in child.tell("lives", swaps=swaps, limit=GIVES_UP, pause=polls)]
    unseen = sum(each >= GIVES_UP * 1000 for each in taken)
    if unseen:
        return [f"over {GIVES_UP:g} s: {unseen} of {len(taken)}", ""]
    return [spread(taken, 1), f"{percentile(taken, 0.99):.1f}"]


def at_rest(child: Child) -> dict[str, float]:
    """The usage when what the loads left behind is done; a poller never is."""
    end = time.monotonic() + 30
    before = child.tell("usage")
    while True:
        time.sleep(2)
        after: dict[str, float] = child.tell("usage")
        if after["cpu"] - before["cpu"] < 0.002 or time.monotonic() > end:
            return after
        before = after


def measure(
    child: Child, base: Path, hosts: list[str], swaps: int, idle: float, polls: float
) -> list[str]:
    child.tell("keep_no_bytecode")
    child.tell("first", host="warm")
    before = child.tell("usage")
    taken = [each * 1000 for each in child.tell("firsts", hosts=hosts)]
    after = at_rest(child)
    time.sleep(idle)
    cpu = child.tell("usage")["cpu"] - after["cpu"]
    calls = calls_per_second(child.pid, min(5.0, idle))
    swapped = hosts[:: max(1, len(hosts) // swaps)][:swaps]
    quiet = lives(child, base, swapped, 1, polls)
    child.tell("spin", threads=BUSY_THREADS)
    busy = lives(child, base, swapped[: -(-swaps // (9 if polls else 3))], 2, polls)
    child.tell("spin", threads=0)
    return [
        spread(taken),
        f"{percentile(taken, 0.99):.2f}",
        f"{(after['rss'] - before['rss']) / len(hosts) / 1024:.1f}",
        str(after["threads"]),
        *map(str, child.tell("descriptors")),
        f"{cpu / idle * 100:.3f}",
        calls,
        *quiet,
        *busy,
    ]


def row(way: Way, home: Path, root: Path, count: int, swaps: int, idle: float) -> list[str]:
    base = root / "www"
    hosts = [f"site{number}" for number in range(count)]
    for host in ["warm", *hosts]:
        release(base, host, 0)
        os.replace(base / f".{host}.0", base / host)
    try:
        with Child(home, base, way.router, **way.settings) as child:
            return measure(child, base, hosts, swaps, idle, way.polls)
    except RuntimeError as exc:
        return [str(exc).strip().splitlines()[-1], *[""] * (len(HEADS) - 3)]
    finally:
        shutil.rmtree(base)


def main() -> None:
    short = quick(__doc__ or "")
    counts, swaps, idle = ((20,), 5, 1.0) if short else ((100, 1_000, 10_000), 45, IDLE)
    rows = []
    with contenders.directory() as root:
        homes = contenders.homes(root)
        for count in counts:
            for way in WAYS:
                found = row(way, homes[way.home], root, count, swaps, idle)
                rows.append([f"{count:,}", way.title, *found])
                print(*rows[-1], sep=" | ", flush=True)
    print_table("loaded vhosts of one small module", HEADS, rows)


if __name__ == "__main__":
    main()
