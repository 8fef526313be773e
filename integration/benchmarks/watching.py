"""What watching costs and how fast it is, beside plain watchdog: one Observer.schedule per vhost.

``python -m integration.benchmarks.watching [--quick]``. Each figure
comes from a process of its own; swaps are made by another process, which stamps each with the
system's monotonic clock right before its rename(2). Prints, and asserts nothing about time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.descriptors import descriptors, inotify_watches
from tests.support.memory import resident
from tests.support.threads import busy

IDLE = 5.0  # seconds
BUSY_THREADS = 4
PATIENCE = 10.0  # seconds until a swap counts as missed

Stamp = Callable[[str], None]


@dataclass(frozen=True)
class Started:
    """A running watcher: ``watch(key, path)`` adds a vhost, ``stop()`` ends it."""

    watch: Callable[[str, str], None]
    stop: Callable[[], None]


def _nothing(base: str, stale: Stamp) -> Started:
    return Started(lambda key, path: None, lambda: None)


def _plain(base: str, stale: Stamp) -> Started:
    """What one writes without us: a watch on each vhost's code and one on base for the swaps."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Swapped(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            for path in (event.src_path, event.dest_path):
                stale(os.path.basename(os.fsdecode(path)))

    observer = Observer()
    observer.start()
    observer.schedule(Swapped(), base)

    def watch(key: str, path: str) -> None:
        observer.schedule(FileSystemEventHandler(), path, recursive=True)

    def stop() -> None:
        observer.stop()
        observer.join()

    return Started(watch, stop)


def _ours(base: str, stale: Stamp) -> Started:
    from mod_wsgi_van.files.ignore import Ignore
    from mod_wsgi_van.files.target import Target
    from mod_wsgi_van.watch import Watcher

    os.environ.pop("MOD_WSGI_VAN_WATCH", None)
    watcher = Watcher(stale, ignore=Ignore(), update_interval=1.0)
    watcher.start()
    return Started(lambda key, path: watcher.arm(key, Target(path)), watcher.stop)


def _polling(base: str, stale: Stamp) -> Started:
    """With the walk that looks at what is polled, as the watcher does not."""
    from tests.watch.probe import Probe

    os.environ.pop("MOD_WSGI_VAN_WATCH", None)
    probe = Probe(Path(base).with_name("sentinel"), setting="polling", interval=1.0)
    probe.on_change = stale
    probe.start()
    return Started(lambda key, path: probe.add(key, Path(path), settle=False), probe.stop)


WAYS = {
    "none": _nothing,
    "plain": _plain,
    "ours": _ours,
    "polling": _polling,
}


def build(base: Path, count: int) -> None:
    """base/hostN -> .builds/hostN, each with two directories and three files of code."""
    if base.exists():
        shutil.rmtree(base)
    for number in range(count):
        package = base / f".builds/host{number}/wsgi/package"
        package.mkdir(parents=True)
        for path in (package.parent / "app.py", package / "__init__.py", package / "views.py"):
            path.write_text("app = None\n")
        (base / f"host{number}").symlink_to(f".builds/host{number}")


def _system_calls() -> float | None:
    """System calls per second of all threads while this one sleeps; None without strace."""
    if shutil.which("strace") is None:
        return None
    command = ["strace", "-f", "-qq", "-c", "-U", "name,calls", "-p", str(os.getpid())]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        time.sleep(IDLE)
        strace.send_signal(signal.SIGINT)
        lines = strace.communicate()[1].splitlines()
    total = [line.split()[1] for line in lines if line.startswith("total")]
    return int(total[0]) / IDLE if total else None


def measure(way: str, base: str, count: int) -> dict[str, Any]:
    """Runs in a process of its own."""
    seen: dict[str, int] = {}

    def stale(key: str) -> None:
        seen.setdefault(key, time.monotonic_ns())

    started = WAYS[way](base, stale)
    started.watch("host0", f"{base}/host0/wsgi")  # imports and first allocations
    rss, begin = resident(), time.perf_counter()
    for number in range(1, count):
        started.watch(f"host{number}", f"{base}/host{number}/wsgi")
    row: dict[str, Any] = {"arm_s": time.perf_counter() - begin}
    row["rss_kb"] = (resident() - rss) / count / 1024
    row["threads"] = threading.active_count()
    targets = list(descriptors().values())
    row["fds"], row["watches"] = len(targets), inotify_watches()
    row["instances"] = sum("inotify" in target for target in targets)
    row.update(_idle(seen))
    if way != "none":
        row["swap"] = _swaps(base, count, seen, 300, 0.005)
        with busy(BUSY_THREADS):
            row["busy"] = _swaps(base, count, seen, 100, 0.05)
    begin = time.perf_counter()
    started.stop()
    row["stop_ms"] = (time.perf_counter() - begin) * 1000
    return row


def _idle(seen: dict[str, int]) -> dict[str, float | None]:
    while True:  # until what arming has caused is over
        known = len(seen)
        time.sleep(1)
        if len(seen) == known:
            break
    cpu = time.process_time()
    time.sleep(IDLE)
    used = time.process_time() - cpu
    return {"idle_cpu": used / IDLE * 100, "idle_calls": _system_calls()}


SWAPPER = """
import json, os, sys, time
base, count, swaps, pause = sys.argv[1], *map(float, sys.argv[2:])
stamps = {}
for turn in range(int(swaps)):
    key = f"host{turn * max(1, int(count // swaps)) % int(count)}"
    if key in stamps:
        break
    link = f"{base}/{key}"
    target = ".builds/host0" if os.readlink(link) != ".builds/host0" else ".builds/host1"
    os.symlink(target, f"{base}/.next")
    stamps[key] = time.monotonic_ns()
    os.replace(f"{base}/.next", link)
    time.sleep(pause)
print(json.dumps(stamps))
"""


def _swaps(
    base: str, count: int, seen: dict[str, int], swaps: int, pause: float
) -> dict[str, float]:
    """Swap hosts from another process; milliseconds until each is marked stale."""
    seen.clear()
    command = [sys.executable, "-c", SWAPPER, base, str(count), str(min(swaps, count)), str(pause)]
    stamps = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    deadline = time.monotonic() + PATIENCE
    while not stamps.keys() <= seen.keys() and time.monotonic() < deadline:
        time.sleep(0.01)
    took = sorted((seen[key] - stamps[key]) / 1e6 for key in stamps if key in seen)
    if not took:
        return {"missed": len(stamps)}
    return {
        "median": statistics.median(took),
        "p99": took[int(len(took) * 0.99)],
        "missed": len(stamps) - len(took),
    }


def _line(way: str, count: int, row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{count:>7} {way:<8} {row['error']}"
    calls = "-" if row["idle_calls"] is None else f"{row['idle_calls']:.1f}"
    cells = (
        f"{row['threads']:>7} {row['fds']:>4} {row['instances']:>4} {row['watches']:>7}",
        f"{row['arm_s']:>7.2f} {row['rss_kb']:>8.1f}",
        f"{row['idle_cpu']:>7.3f} {calls:>8} {row['stop_ms']:>8.1f}",
        _times(row.get("swap")),
        _times(row.get("busy")),
    )
    return f"{count:>7} {way:<8} " + " ".join(cells)


def _times(found: dict[str, float] | None) -> str:
    if found is None or "median" not in found:
        return f"{'-' if found is None else 'all missed':>20}"
    missed = f" -{found['missed']:.0f}" if found["missed"] else ""
    return f"{found['median']:>10.3f}{found['p99']:>10.3f}{missed}"


HEADER = """\
                                inotify              RSS KB   idle    idle               swap to \
stale, ms     with 4 busy threads
 vhosts way      threads  fds inst watches   arm s   /vhost   CPU %   calls/s  stop ms    median\
       p99    median       p99"""


def run(counts: list[int], ways: list[str], directory: str) -> list[dict[str, Any]]:
    """Print a table and return its rows.

    ``directory``: where the vhosts are made; one in which others make files wakes the reader.
    """
    print(HEADER)
    rows = []
    for count in counts:
        top = Path(tempfile.mkdtemp(prefix="van-watching-", dir=directory))
        try:
            for way in ways:
                build(top / "base", count)  # anew: the swaps have moved the links
                row = _in_process(way, top / "base", count)
                print(_line(way, count, row), flush=True)
                rows.append({"way": way, "count": count, **row})
        finally:
            shutil.rmtree(top)
    return rows


def _in_process(way: str, base: Path, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", __spec__.name, "--measure", way, str(base), str(count)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if found.returncode != 0:
        return {"error": (found.stderr.strip().splitlines() or ["?"])[-1]}
    row: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="What watching costs and how fast it is.")
    parser.add_argument("--counts", default="100,1000,10000")
    parser.add_argument("--quick", action="store_true", help="few vhosts: does it run at all?")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--directory", default="/var/tmp")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        way, base, count = given.measure
        print(json.dumps(measure(way, base, int(count))))
    else:
        counts = "20" if given.quick else given.counts
        run([int(count) for count in counts.split(",")], given.ways.split(","), given.directory)


if __name__ == "__main__":
    main()
