"""Many random changes by several writers while a router serves: always right, at rest too."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.watch import kernel
from tests.support.answer import Answer
from tests.support.client import get
from tests.support.threads import in_threads
from tests.support.vhosts import deploy, write
from tests.support.waiting import wait

HOSTS = 50
WRITERS = 4
CLIENTS = 4
CHANGES = int(os.environ.get("VAN_SOAK_CHANGES", "250"))  # of each writer
QUEUE = 64  # events that the kernel keeps where the overflow is forced

# The lazy import takes code of another release into this one where paths are not resolved.
APP = """
def app(environ, start_response):
    import part
    start_response("200 OK", [("Content-Type", "text/plain")])
    release = str(environ["mod_wsgi_van.release"]).split("/")[-2]
    return [b"{token} " + part.SERIAL + b" " + release.encode()]
"""


class Vhost:
    """base/host -> .builds/host/SERIAL, and all that may happen to it.

    ``live``: what was current at some time; noted before it is, so that a client never knows more.
    """

    def __init__(self, base: Path, name: str) -> None:
        self.base, self.name, self.link = base, name, base / name
        self.live: set[str] = set()
        self.mounted: list[Path] = []
        self.one_tree = True  # no path ever led to two releases
        self._serial = itertools.count()
        self._lock = threading.Lock()
        self._builds: list[Path] = []
        self.swap()

    def change(self, chance: random.Random) -> None:
        ways: list[Callable[[], object]] = [
            *[self.swap, self.edit, self.save, self.rename, self.touch] * 2,
            *[self.delete, self.create, self.roll_back, self.break_, self.empty, self.decoy],
        ]
        with self._lock:
            try:
                if os.geteuid() == 0 and chance.random() < 0.02:
                    self.mount()
                else:
                    chance.choice(ways)()
            except OSError:
                pass  # an earlier change took away what this one needs

    @property
    def code(self) -> Path:
        return self.link.resolve(strict=True) / "wsgi" / "app.py"

    def text(self) -> str:
        """Make the next version of the application and note that it has been current."""
        token = f"{self.name}-{next(self._serial)}"
        self.live.add(token)
        return APP.format(token=token)

    def build(self, text: str) -> Path:
        directory = self.base / ".builds" / self.name / str(next(self._serial))
        write(directory / "wsgi" / "app.py", text)
        write(directory / "wsgi" / "part.py", f'SERIAL = b"{directory.name}"\n')
        return directory

    def swap(self) -> None:
        directory = self.build(self.text())
        self._builds.append(directory)
        deploy(self.base, self.name, directory)

    def decoy(self) -> None:
        """A release that nothing leads to."""
        self.build(APP.format(token="decoy"))

    def roll_back(self) -> None:
        deploy(self.base, self.name, self._builds[max(0, len(self._builds) - 2)])

    def edit(self) -> None:
        self.code.write_text(self.text())

    def save(self) -> None:
        temporary = self.code.with_name(".app.py.a1B2c3")
        temporary.write_text(self.text())
        temporary.replace(self.code)

    def break_(self) -> None:
        self.code.write_text("(")

    def touch(self) -> None:
        os.utime(self.code.parent)

    def empty(self) -> None:
        self.code.unlink()

    def delete(self) -> None:
        self.link.unlink()

    def create(self) -> None:
        self.link.symlink_to(self._builds[-1])

    def rename(self) -> None:
        away = self.base / f".{self.name}.away"
        self.link.rename(away)
        away.rename(self.link)

    def mount(self) -> None:
        """Mount another release over the current one, or take it away again."""
        if self.mounted:
            subprocess.run(["umount", "-l", self.mounted.pop()], check=True)
            return
        self.one_tree = False
        over = self.link.resolve(strict=True)
        subprocess.run(["mount", "--bind", self.build(self.text()), over], check=True)
        self.mounted.append(over)

    def check(self, answer: Answer) -> None:
        """Whether such an answer may be given at any time during the soak."""
        assert answer.status in (200, 404, 500), answer
        if answer.status == 200:
            token, serial, built_in = answer.body.split()
            assert token in self.live, f"{self.name} answered {token}, which never was current"
            assert not self.one_tree or serial == built_in, f"{self.name}: {serial} in {built_in}"


@pytest.fixture
def vhosts(tmp_path: Path) -> Iterator[list[Vhost]]:
    made = [Vhost(tmp_path, f"host{number}.test") for number in range(HOSTS)]
    yield made
    for point in itertools.chain(*(vhost.mounted for vhost in made)):
        subprocess.run(["umount", "-l", point], check=False)


def same(ours: Answer, fresh: Answer, vhost: Vhost) -> bool:
    """Whether an answer at rest is right: what a new router says, or what a broken one replaced."""
    if fresh.status == 500 and ours.status == 200:
        return ours.body.split()[0] in vhost.live
    return (ours.status, ours.body) == (fresh.status, fresh.body)


def soak(
    vhosts: list[Vhost], router: Router, fresh: Router, last: Callable[[], None] = lambda: None
) -> None:
    """Change and ask; after ``last()``, the change that ends it all, everything must be right."""
    writing = itertools.count()
    done = threading.Event()

    def write_changes(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(CHANGES):
                chance.choice(vhosts).change(chance)
                time.sleep(chance.random() / 200)  # else all that happens is one change
        finally:
            if next(writing) == WRITERS - 1:
                done.set()

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        while not done.is_set():
            vhost = chance.choice(vhosts)
            vhost.check(get(router.application, vhost.name))
            time.sleep(chance.random() / 500)

    in_threads(WRITERS + CLIENTS, lambda number: (write_changes, ask)[number >= WRITERS](number))
    last()
    for vhost in vhosts:
        comes_to(vhost, router, get(fresh.application, vhost.name))


def comes_to(vhost: Vhost, router: Router, wanted: Answer) -> None:
    try:
        wait(lambda: same(get(router.application, vhost.name), wanted, vhost))
    except AssertionError:
        have = get(router.application, vhost.name)
        raise AssertionError(f"{vhost.name}: wanted {wanted}, have {have}") from None


def fresh_router(make_router: Any) -> Router:
    router: Router = make_router(watch="polling", sweep_interval=0, settle=0)
    return router


@pytest.mark.parametrize("watch", ["auto", "polling"])
def test_soak(vhosts: list[Vhost], make_router: Any, watch: str) -> None:
    router = make_router(watch=watch, sweep_interval=0, settle=0.02)
    soak(vhosts, router, fresh_router(make_router))


def test_soak_with_overflows(
    vhosts: list[Vhost], make_router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is held now and then; where root may, the kernel's queue is a small one too.

    It is held while each vhost changes a last time: no later event makes up for what was lost.
    """
    overflows = 0
    reading = threading.Event()
    reading.set()
    read = kernel.Inotify.read

    def late(self: kernel.Inotify) -> list[kernel.Event]:
        nonlocal overflows
        threading.Event().wait(random.choice((0, 0, 0.05)))
        reading.wait(20)
        events = read(self)
        overflows += sum(event.wd == -1 for event in events)
        return events

    monkeypatch.setattr(kernel.Inotify, "read", late)
    router = make_router(watch="inotify", sweep_interval=0, settle=0.02)
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    before = limit.read_text()
    try:
        if os.access(limit, os.W_OK):
            limit.write_text(str(QUEUE))  # counts for the instances made while it stands
        get(router.application, vhosts[0].name)  # this makes one
    finally:
        if os.access(limit, os.W_OK):
            limit.write_text(before)

    def swap_all() -> None:
        reading.clear()
        for vhost in vhosts:
            vhost.swap()
        reading.set()

    soak(vhosts, router, fresh_router(make_router), swap_all)
    assert overflows or not os.access(limit, os.W_OK)
