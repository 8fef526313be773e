"""Runs every benchmark in turn, or those that are named: python -m integration.benchmarks.

Each is a module with a ``main`` that takes ``--quick``, and is run in a process of its own, so that
what one leaves in memory does not weigh on the next.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Modules that are parts of benchmarks, not benchmarks.
PARTS = ("__init__", "__main__", "child", "contenders", "figures", "plain", "pulse")


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in PARTS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m integration.benchmarks")
    parser.add_argument("name", nargs="*", help=f"one of {', '.join(names())}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: does it run at all?")
    arguments = parser.parse_args()
    unknown = set(arguments.name) - set(names())
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: {', '.join(names())}")
    failed = []
    for name in arguments.name or names():
        print(f"\n=== {name}", flush=True)
        command = [sys.executable, "-m", f"{__package__}.{name}"]
        if subprocess.run(command + ["--quick"] * arguments.quick).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
