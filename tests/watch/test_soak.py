"""Many random changes by several writers: at rest, what was reported last is what is there."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version, measure
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.watch.inotify import InotifyWatcher
from mod_wsgi_van.watch.kernel import Event, Inotify
from tests.support.links import exchange, swap
from tests.support.waiting import wait
from tests.watch.conftest import MAKERS
from tests.watch.probe import Reports, release

HOSTS = 20
WRITERS = 4
CHANGES = int(os.environ.get("VAN_SOAK_CHANGES", "1000"))  # of each writer


class Starved(Inotify):
    """Its reader pauses for a random while, until the queue has overflowed now and then."""

    overflows = 0

    def __init__(self) -> None:
        limit = Path("/proc/sys/fs/inotify/max_queued_events")
        before = limit.read_text()
        try:
            if os.geteuid() == 0:
                limit.write_text("64")  # applies to the instances made while it stands
            super().__init__()
        finally:
            if os.geteuid() == 0:
                limit.write_text(before)

    def read(self) -> list[Event]:
        threading.Event().wait(random.choice((0, 0, 0.01)))
        events = super().read()
        self.overflows += sum(event.wd == -1 for event in events)
        return events


class Vhost:
    """base/hostN -> .builds/hostN/current -> SERIAL, and all that may happen to it."""

    def __init__(self, base: Path, name: str) -> None:
        self.base, self.name = base, name
        self.home = base / ".builds" / name
        self._serial = itertools.count()
        self._lock = threading.Lock()
        self.home.mkdir(parents=True)
        self.deploy()
        (base / name).symlink_to(f".builds/{name}/current")

    @property
    def wsgi(self) -> Path:
        return self.base / self.name / "wsgi"

    def change(self, chance: random.Random) -> None:
        ways = (self.deploy, self.edit, self.edit, self.delete, self.recreate, self.rename,
                self.relink, self.package, self.trade)  # fmt: skip
        with self._lock:
            try:
                chance.choice(ways)()
            except OSError:
                pass  # an earlier change took away what this one needs

    def deploy(self) -> None:
        serial = str(next(self._serial))
        release(self.home / serial, f"app = {serial}\n")
        current = self.home / "current"
        old = os.readlink(current) if current.is_symlink() else None
        swap(current, serial)
        if old is not None:
            shutil.rmtree(self.home / old, ignore_errors=True)

    def edit(self) -> None:
        (self.wsgi / "package/__init__.py").write_text(f"x = {next(self._serial)}\n")

    def delete(self) -> None:
        (self.base / self.name).unlink()

    def recreate(self) -> None:
        (self.base / self.name).symlink_to(f".builds/{self.name}/current")

    def rename(self) -> None:
        (self.base / self.name).rename(self.base / f".{self.name}.away")
        (self.base / f".{self.name}.away").rename(self.base / self.name)

    def relink(self) -> None:
        swap(self.base / self.name, str(self.home / "current"))

    def package(self) -> None:
        package = self.wsgi / "package"
        package.rename(package.with_name(f"package{next(self._serial)}"))
        package.mkdir()
        (package / "__init__.py").write_text("")

    def trade(self) -> None:
        serial = str(next(self._serial))
        release(self.home / serial, f"app = {serial}\n")
        exchange(self.home / serial, (self.home / "current").resolve())


def _soak(make: Callable[[Reports], Watcher], base: Path) -> None:
    vhosts = {f"host{number}": Vhost(base, f"host{number}") for number in range(HOSTS)}
    targets = {key: Target(str(vhost.wsgi)) for key, vhost in vhosts.items()}
    known: dict[str, Version | None] = {}
    looking = threading.Lock()

    def look(key: str) -> Version | None:
        try:
            return measure(targets[key], Ignore())
        except OSError:
            return None

    class Looking(Reports):
        def __call__(self, key: str) -> None:
            with looking:  # a watcher may report from more than one thread
                known[key] = look(key)

    watcher = make(Looking())
    watcher.start()
    try:
        for key, target in targets.items():
            watcher.add(key, target)
        writers = [
            threading.Thread(target=_write, args=(vhosts, number)) for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        for key in vhosts:
            wait(lambda key=key: key in known and known[key] == look(key))
    finally:
        watcher.stop()


def _write(vhosts: dict[str, Vhost], seed: int) -> None:
    chance = random.Random(seed)
    names = list(vhosts)
    for _ in range(CHANGES):
        vhosts[chance.choice(names)].change(chance)


@pytest.mark.parametrize("kind", MAKERS)
def test_soak(tmp_path: Path, kind: str) -> None:
    _soak(MAKERS[kind], tmp_path / "base")


def test_soak_with_overflows(tmp_path: Path) -> None:
    made: list[Starved] = []
    _soak(
        lambda stale: InotifyWatcher(
            stale, ignore=Ignore(), make=lambda: made.append(Starved()) or made[-1]
        ),
        tmp_path / "base",
    )
    if os.geteuid() == 0:
        assert made[0].overflows
