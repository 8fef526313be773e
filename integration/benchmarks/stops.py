"""How long all sites wait while one is deployed, allocates or is collected.

A request is sent to one site every millisecond throughout, and measured from the time at which it
was due: one that waits behind another, or for the GIL, has been waiting since then. "nothing" is
what the machine itself does to it. Memory: before, at the end, and three quiet seconds later.

With ``--beside DIRECTORY``, another checkout of the project is measured in turn with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration.benchmarks.figures import percentile, print_table
from integration.server.flavours import DEPENDENCIES
from tests.support.environments import environment
from tests.support.places import PROJECT, open_directory

PULSE = Path(__file__).with_name("pulse.py")
TRIVIAL = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{release}"]
"""
ALLOCATES = """\
kept = []
def app(environ, start_response):
    kept[:] = [[number, {}] for number in range(300_000)]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{release}"]
"""
DJANGO = """\
from django.conf import settings
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.messages", "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
)
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("{release}"))]
app = get_wsgi_application()
"""
DJANGO_NEEDS = ("django==5.2.4",)
SOURCES = {"allocates": ALLOCATES, "django": DJANGO}
HEADS = (
    "what", "checkout", "requests", "p50, ms", "p99", "p99.9", "longest", "live, ms",
    "MB before", "end", "quiet",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    title: str
    act: str
    sites: int  # trivial ones, besides
    hosts: tuple[str, ...] = ()
    swapped: int = 0  # of the trivial ones, or reloads of the first of ``hosts``
    pause: float = 0.0  # seconds between two swaps
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)


def rows(quick: bool) -> list[Row]:
    sites, swapped, seconds = (20, 4, 2.0) if quick else (1_000, 150, 30.0)
    return [
        Row(f"{sites:,} sites, nothing", "nothing", sites, seconds=seconds / 3),
        Row(f"{sites:,} sites, {swapped} swapped", "swaps", sites, swapped=swapped),
        Row(f"{sites:,} sites, one allocates", "allocate", sites, ("allocates",), seconds=seconds),
        Row("1 site, one allocates", "allocate", 0, ("allocates",), seconds=seconds),
        Row(
            "Django reloaded each second, 20 sites", "swaps", 20, ("django",),
            swapped=int(seconds), pause=1.0,
        ),
        Row(
            f"Django reloaded each second, {sites:,} sites", "swaps", sites, ("django",),
            swapped=int(seconds), pause=1.0,
        ),
    ]  # fmt: skip


class Tree:
    """Sites below ``base``, and the links that swap them."""

    def __init__(self, base: Path, python: str) -> None:
        self._base = base
        self._python = python
        self._numbers: dict[str, int] = {}

    def release(self, host: str) -> tuple[str, str, str, str]:
        """Build the next release: host, new link, link, answer."""
        number = self._numbers[host] = self._numbers.get(host, -1) + 1
        built = self._base / ".builds" / host / str(number)
        (built / "wsgi").mkdir(parents=True)
        source = SOURCES.get(host, TRIVIAL).replace("{release}", str(number))
        (built / "wsgi/app.py").write_text(source)
        if host == "django":
            (built / ".venv").symlink_to(environment(self._python, DJANGO_NEEDS))
        new = self._base / f".{host}.{number}"
        new.symlink_to(built)
        return host, str(new), str(self._base / host), str(number)

    def deploy(self, host: str) -> None:
        _, new, link, _ = self.release(host)
        os.replace(new, link)


def measure(row: Row, checkout: Path, directory: Path, python: str) -> dict[str, Any]:
    base = directory / "www"
    base.mkdir()
    tree = Tree(base, python)
    sites = [f"site{number}" for number in range(row.sites)]
    for host in ["pulse", *sites, *row.hosts]:
        tree.deploy(host)
    swapped = list(_swapped(row, sites))
    job = {
        "tree": str(checkout),
        "base": str(base),
        "hosts": [*sites, *row.hosts],
        "act": row.act,
        "warm": [tree.release(host) for host in swapped[:1]],
        "swaps": [tree.release(host) for host in swapped],
        "pause": row.pause,
        "seconds": row.seconds,
        "quiet": 3.0,
    }
    home = environment(python, DEPENDENCIES)
    command = [str(home / "bin/python"), "-I", str(PULSE), json.dumps(job)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    finally:
        shutil.rmtree(base)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _swapped(row: Row, sites: list[str]) -> Iterator[str]:
    for number in range(row.swapped):
        yield row.hosts[0] if row.hosts else sites[number * len(sites) // row.swapped]


def shown(row: Row, checkout: str, found: dict[str, Any]) -> list[str]:
    taken = found["taken"]
    parts = [f"{percentile(taken, part):.1f}" for part in (0.5, 0.99, 0.999)]
    live = f"{percentile(found['lives'], 0.5):.0f}" if found["lives"] else ""
    memory = [f"{each:.0f}" for each in found["memory"]]
    return [row.title, checkout, str(len(taken)), *parts, f"{max(taken):.1f}", live, *memory]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: does it run at all?")
    parser.add_argument("--beside", type=Path, help="another checkout of the project")
    parser.add_argument("--python", default=getattr(sys, "_base_executable", sys.executable))
    parser.add_argument("--only", default="", help="rows whose title contains that")
    arguments = parser.parse_args()
    checkouts = {"this": PROJECT}
    if arguments.beside:
        checkouts = {"other": arguments.beside, **checkouts}
    table = []
    with open_directory("/var/tmp") as directory:
        for row in rows(arguments.quick):
            if arguments.only not in row.title:
                continue
            for name, checkout in checkouts.items():
                found = measure(row, checkout, directory, arguments.python)
                table.append(shown(row, name, found))
                print(*table[-1], sep=" | ", flush=True)
    print_table("a request every millisecond, from when it was due", HEADS, table)


if __name__ == "__main__":
    main()
