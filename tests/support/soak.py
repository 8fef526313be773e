"""Random changes of vhosts on real directories, and what is right at any time and at rest."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.answer import Answer
from tests.support.links import exchange, swap
from tests.support.threads import in_threads
from tests.support.vhosts import write

SEED = os.environ.get("VAN_SOAK_SEED", "0")
WRITERS = 4

# The lazy import takes code of another release into this one where paths are not resolved.
APP = """
TOKEN = "{token}"
def app(environ, start_response):
    import part
    release = str(environ["mod_wsgi_van.release"]).split("/")[-2]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{TOKEN}} {{part.SERIAL}} {{release}}".encode()]
"""


class Vhost:
    """base/NAME -> .builds/NAME/current -> SERIAL, and all that may happen to it.

    ``tokens``: of what was current at some time; noted before it is, so that no client knows more.
    """

    def __init__(self, base: Path, name: str) -> None:
        self.link = base / name
        self.home = base / ".builds" / name
        self.current = self.home / "current"
        self.tokens: set[str] = set()
        self.mounted: list[Path] = []
        self.one_tree = True  # no path ever led to two releases
        self._serials = itertools.count()
        self._lock = threading.Lock()  # one change at a time
        self._builds: list[Path] = []
        self.swap()
        self.create()

    def change(self, chance: random.Random, *, harsh: bool) -> None:
        """Let something happen; with ``harsh`` also what takes code away from a running release."""
        ways: list[Callable[[], object]] = [
            *[self.swap, self.edit, self.save, self.rename, self.touch] * 2,
            *[self.point, self.relink, self.delete, self.create, self.roll_back],
            *[self.break_, self.empty, self.decoy],
        ]
        if harsh:
            ways += [self.clean, self.trade, self.package]
        elif os.geteuid() == 0 and chance.random() < 0.02:
            ways = [self.mount]
        with self._lock:
            try:
                chance.choice(ways)()
            except OSError:
                pass  # an earlier change took away what this one needs

    # What is there.

    @property
    def wsgi(self) -> Path:
        return self.link / "wsgi"

    @property
    def code(self) -> Path:
        return self.link.resolve(strict=True) / "wsgi" / "app.py"

    def standing(self) -> str | None:
        """The token of the code that a client should see; "": it is broken; None: no vhost."""
        if not self.wsgi.is_dir():
            return None
        try:
            found = re.search(r'TOKEN = "(.+)"', self.code.read_text())
        except FileNotFoundError:
            return ""
        return found[1] if found else ""

    def check(self, answer: Answer) -> None:
        """Whether such an answer may be given at any time."""
        assert answer.status in (200, 404, 500), answer
        if answer.status == 200:
            token, serial, release = answer.body.split()
            assert token in self.tokens, f"{answer.body}: never was current"
            assert serial == release or not self.one_tree, f"{answer.body}: of two releases"

    def is_right(self, answer: Answer) -> bool:
        """Whether an answer is right at rest: what stands there, or what a broken one replaced."""
        self.check(answer)
        standing = self.standing()
        if standing is None:
            return answer.status == 404
        if not standing:
            return answer.status in (200, 500)
        return answer.status == 200 and answer.body.split()[0] == standing

    # What may happen.

    def _text(self) -> str:
        """The next version of the application, noted as current."""
        token = f"{self.link.name}-{next(self._serials)}"
        self.tokens.add(token)
        return APP.format(token=token)

    def _build(self, text: str) -> Path:
        directory = self.home / str(next(self._serials))
        write(directory / "wsgi" / "app.py", text)
        write(directory / "wsgi" / "part.py", f'SERIAL = "{directory.name}"\n')
        write(directory / "wsgi" / "package" / "__init__.py", "")
        return directory

    def swap(self) -> None:
        self._builds.append(self._build(self._text()))
        swap(self.current, self._builds[-1].name)

    def point(self) -> None:
        """A release without the link between."""
        self._builds.append(self._build(self._text()))
        swap(self.link, self._builds[-1])

    def relink(self) -> None:
        swap(self.link, self.current)

    def roll_back(self) -> None:
        swap(self.current, self._builds[max(0, len(self._builds) - 2)].name)

    def decoy(self) -> None:
        """A release that nothing leads to."""
        self._build(APP.format(token="decoy"))

    def edit(self) -> None:
        self.code.write_text(self._text())

    def save(self) -> None:
        temporary = self.code.with_name(".app.py.a1B2c3")
        temporary.write_text(self._text())
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
        self.link.symlink_to(f".builds/{self.link.name}/current")

    def rename(self) -> None:
        away = self.link.with_name(f".{self.link.name}.away")
        self.link.rename(away)
        away.rename(self.link)

    def mount(self) -> None:
        """Mount another release over the current one, or take it away again."""
        if self.mounted:
            subprocess.run(["umount", "-l", self.mounted.pop()], check=True)
            return
        self.one_tree = False
        over = self.link.resolve(strict=True)
        subprocess.run(["mount", "--bind", self._build(self._text()), over], check=True)
        self.mounted.append(over)

    def clean(self) -> None:
        """``ln -sfn new current; rm -rf old``."""
        old = self.current.resolve()
        self.swap()
        shutil.rmtree(old, ignore_errors=True)

    def trade(self) -> None:
        exchange(self._build(self._text()), self.current.resolve(strict=True))

    def package(self) -> None:
        """Another directory in the place of one that stays, elsewhere."""
        package = self.wsgi / "package"
        package.rename(package.with_name(f"package{next(self._serials)}"))
        write(package / "__init__.py", "")


@contextmanager
def vhosts(base: Path, count: int) -> Iterator[list[Vhost]]:
    """So many of them; what was mounted is unmounted at the end."""
    made = [Vhost(base, f"host{number}.test") for number in range(count)]
    try:
        yield made
    finally:
        for point in itertools.chain(*(vhost.mounted for vhost in made)):
            subprocess.run(["umount", "-l", point], check=False)


def change_all(
    vhosts: Sequence[Vhost],
    changes: int,
    *,
    harsh: bool = False,
    pause: float = 0.0,
    clients: Sequence[Callable[[random.Random], None]] = (),
) -> None:
    """Let each writer make so many changes, ``pause`` seconds apart at most.

    Each of ``clients`` is called again and again meanwhile, in a thread of its own.
    """
    writing = itertools.count(1)
    done = threading.Event()

    def write_on(chance: random.Random) -> None:
        try:
            for _ in range(changes):
                chance.choice(vhosts).change(chance, harsh=harsh)
                time.sleep(chance.random() * pause)
        finally:
            if next(writing) == WRITERS:
                done.set()

    def work(number: int) -> None:
        chance = random.Random(f"{SEED} {number}")
        if number < WRITERS:
            write_on(chance)
            return
        while not done.is_set():
            clients[number - WRITERS](chance)

    in_threads(WRITERS + len(clients), work)
