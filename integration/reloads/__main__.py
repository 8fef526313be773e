"""The command that tries libraries and writes down what came of it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from integration.reloads.trial import Python, Unusable, names, try_library
from mod_wsgi_van.isolation.tested import PATH, Trial, trials, write
from tests.support.pythons import Version, interpreter

PYTHONS: list[Version] = [(3, minor) for minor in range(11, 15)]


def pythons(paths: list[str]) -> list[Python]:
    found = paths or [path for each in PYTHONS if (path := interpreter(each))]
    return [Python(path, _version(path)) for path in found]


def _version(path: str) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.run(
        [path, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m integration.reloads", description=__doc__)
    parser.add_argument("name", nargs="*", help="libraries to try; all by default")
    parser.add_argument("--python", action="append", default=[], help="interpreter; all by default")
    parser.add_argument("--times", type=int, default=60, help="reloads of each version")
    parser.add_argument("--jobs", type=int, default=2, help="libraries that are tried at once")
    parser.add_argument("--write", action="store_true", help=f"write {PATH.name} anew")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - set(names()):
        parser.error(f"there is no library {', '.join(sorted(unknown))}: {', '.join(names())}")
    jobs = [(n, python) for python in pythons(arguments.python) for n in arguments.name or names()]

    def run(job: tuple[str, Python]) -> list[Trial]:
        name, python = job
        try:
            found = try_library(name, python, arguments.times)
        except Unusable as error:
            print(f"{name}, Python {python.version}: skipped, {error}", file=sys.stderr, flush=True)
            return []
        for trial in found:
            what = f"{trial.name} {trial.version}, Python {python.version}"
            print(f"{what}: {trial.kb} KB, {trial.result}", flush=True)
        return found

    with ThreadPoolExecutor(arguments.jobs) as executor:
        for new in executor.map(run, jobs):
            if new and arguments.write:  # at once: all of it takes an hour
                add(new)


def add(new: list[Trial]) -> None:
    """Write the trials of one library under one Python in the place of earlier ones."""
    tried = {(trial.name, trial.minor) for trial in new}
    trials.cache_clear()
    write([*(trial for trial in trials() if (trial.name, trial.minor) not in tried), *new])


if __name__ == "__main__":
    main()
