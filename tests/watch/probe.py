"""What the tests see a watcher through: all that makes hints into changes, but for the loading."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version, measure
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.reload.errands import Back, Done, Errands
from mod_wsgi_van.reload.loader import Loader
from mod_wsgi_van.reload.looks import Looks, Seen, Why
from mod_wsgi_van.reload.mailbox import Mailbox, Stale, Wake
from mod_wsgi_van.reload.maintenance import Maintenance
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.reload.retiring import Retiring
from mod_wsgi_van.reload.walk import Walk
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.release import Answer, State
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.sites.table import Sites
from mod_wsgi_van.watch import Watcher
from tests.support.links import swap
from tests.support.waiting import DEADLINE

INTERVAL = 0.02  # seconds between two rounds of polling
IGNORE = Ignore()


class Targets(dict[Path, Target]):
    """What is watched and measured for each site, in place of a layout and of hooks."""

    venv_name = ".venv"
    module_name = object_name = "app"

    def wsgi(self, path: Path) -> str:
        return self[path].path

    def target(self, path: Path, files: tuple[str, ...] = ()) -> Target:
        return self[path]

    def get_version(self, path: Path) -> Version:
        return measure(self[path], IGNORE)


@dataclass(frozen=True, eq=False)
class Order:
    """To the probe's thread: look at a site."""

    site: Site


class Probe:
    """A watcher and what turns its hints into looks; a look that finds something new is a change.

    ``hints`` and ``changes`` count by key. ``missed``: keys of which a look without a hint found
    something new, although inotify is to tell of all their changes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        interval: float = INTERVAL,
        targets: Targets | None = None,
        **settings: Any,
    ) -> None:
        self.hints: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.looks_at: Counter[str] = Counter()
        self.missed: list[str] = []
        self.silent: list[Site] = []
        self.on_hint: Callable[[], object] = lambda: None
        self.on_change: Callable[[str], object] = lambda key: None
        self.targets = Targets() if targets is None else targets
        self.sites_by_key: dict[str, Site] = {}
        self._interval = interval
        self.watcher = Watcher(self._stale, ignore=IGNORE, update_interval=interval, **settings)
        self._fresh: set[str] = set()
        self._error: BaseException | None = None
        self._assemble()
        directory.mkdir()
        directory.chmod(0o777)
        (directory / "a").mkdir()
        (directory / "b").mkdir()
        (directory / "link").symlink_to("a")
        self._sentinel = directory / "link"
        self._next = itertools.cycle("ba")

    def _assemble(self) -> None:
        self.mailbox = Mailbox()
        self.sites = Sites()
        self.errands = Errands(self.mailbox)
        self.loader = Loader(self.targets, self.targets, {}, asks=False)  # type: ignore[arg-type]
        retiring = Retiring(0.0, self.mailbox)
        plain = Answer(lambda environ, start_response: [])
        maintenance = Maintenance(self.sites, plain, owned=False)
        self.parts = Parts(
            self.sites, self.loader, self.watcher, self.mailbox, retiring, maintenance
        )
        self.looks = Looks(self.parts, self.errands)
        settings = Settings(update_interval=self._interval, sweep_interval=0.0)
        self.walk = Walk(self.parts, self.looks, self.errands, settings)
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def start(self) -> None:
        self.watcher.start()
        self._thread.start()
        self.add("sentinel", self._sentinel, tree=False, settle=False)

    def stop(self) -> None:
        self.watcher.stop()
        self._ended = True
        self.mailbox.put(Wake())
        if self._thread.ident is not None:
            self._thread.join(DEADLINE)
        self.errands.stop()

    def after_fork(self) -> None:
        """In a child: as the engine does it; then start() again."""
        hurry.after_fork()
        self.watcher.after_fork()
        self._assemble()

    # What a test does.

    def add(self, key: str, path: Path, *, settle: bool = True, **further: Any) -> None:
        """Watch and measure a target under ``key``; what is there now is no change."""
        site = self.register(key, path, **further)
        with self._changed:
            self._fresh.add(key)
        before = self.looks_at[key]
        self.mailbox.put(Order(site))
        self._wait(lambda: self.looks_at[key] > before and key not in self._fresh, f"look at {key}")
        if settle:
            self.settle()

    def register(self, key: str, path: Path, **further: Any) -> Site:
        """Make a site of a target, without a look at it."""
        place = Path("/", key)
        self.targets[place] = Target(str(path), **further)
        site = self.sites_by_key[key] = self.sites.site(key, place)
        site.release = Answer(lambda environ, start_response: [])
        return site

    def remove(self, key: str) -> None:
        self.watcher.remove(self.sites_by_key.pop(key).key)

    def polled(self, key: str) -> bool:
        return self.sites_by_key[key].key in self.watcher.polled()

    def expect(self, key: str, change: Callable[[], object]) -> None:
        """The change is noticed under the key."""
        before = self.changes[key]
        next_tick()
        change()
        self.wait_for_change(key, before)
        self.settle()

    def expect_nothing(self, change: Callable[[], object]) -> None:
        """There is no change under any key, and inotify does not even hint at one."""
        before = self._counts()
        next_tick()
        change()
        self.settle()
        assert self._counts() == before

    def wait_for_change(self, key: str, more_than: int) -> None:
        self._wait(lambda: self.changes[key] > more_than, f"a change of {key} is noticed")

    def wait_for_hint(self, key: str, more_than: int) -> None:
        self._wait(lambda: self.hints[key] > more_than, f"a hint at {key}")

    def settle(self) -> None:
        """Wait until all that happened before has been looked at; no change had no hint.

        Hints come in the order of the changes, and so do the looks. Two rounds: a site that is
        looked at when a hint comes is looked at once more. Then a look at each site.
        """
        for _ in range(2):
            before = self.changes["sentinel"]
            next_tick()
            swap(self._sentinel, next(self._next))
            self.wait_for_change("sentinel", before)
        for _ in range(2):
            known = dict(self.looks_at)
            sites = dict(self.sites_by_key)
            for site in sites.values():
                self.mailbox.put(Order(site))
            self._wait(
                lambda: all(self.looks_at[key] > known.get(key, 0) for key in sites),  # noqa: B023
                "a look at each site",
            )
        if not self.watcher.polled():  # no look is under way that finds the next change
            self._wait(lambda: self.errands.next_due() is None, "the end of all looks")
        assert not self.missed

    def _counts(self) -> tuple[dict[str, int], ...]:
        return tuple(
            {key: count for key, count in counter.items() if key != "sentinel"}
            for counter in (self.hints, self.changes)
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._changed:
            fine = self._changed.wait_for(lambda: condition() or self._error is not None, DEADLINE)
        if self._error is not None:
            raise self._error
        assert fine, f"not within {DEADLINE:g} s: {what}"

    # The thread, as mod_wsgi_van.reload.thread does it.

    def _stale(self, key: str) -> None:
        self.mailbox.put(Stale(key))
        self.on_hint()

    def _run(self) -> None:
        try:
            while not self._ended:
                self._turn()
        except BaseException as error:
            self._error = error
            raise
        finally:
            with self._changed:
                self._changed.notify_all()

    def _turn(self) -> None:
        due = min(self.errands.next_due() or inf, self.walk.next_due() or inf)
        for letter in self.mailbox.take(max(0.0, due - time.monotonic()) if due < inf else None):
            with self._changed:
                self._read(letter)
                self._changed.notify_all()
        now = time.monotonic()
        self.silent += self.errands.check(now)
        self.walk.step(now)

    def _read(self, letter: object) -> None:
        if isinstance(letter, Stale):
            site = self.sites.by_key(letter.key)
            assert site is not None
            self.hints[site.host] += 1
            if self.sites_by_key.get(site.host) is site:
                self.looks.order(site, Why.HINT)
        elif isinstance(letter, Order):
            self.looks.order(letter.site, Why.AGAIN)
        elif isinstance(letter, Seen):
            self.looks.arrived(letter.site)
            self._seen(letter)
        elif isinstance(letter, Done):
            self.errands.done()
            self.walk.done(letter.errand)
        elif isinstance(letter, Back):
            self.looks.resume(self.errands.back(letter)[0])

    def _seen(self, letter: Seen) -> None:
        site, state = letter.site, letter.state
        if letter.error is not None:
            state = State(str(letter.error), "")  # as good as any
        if site.host in self._fresh:
            self._fresh.discard(site.host)
        elif _changed(site.state, state, hinted=letter.why is Why.HINT):
            self.changes[site.host] += 1
            self.on_change(site.host)
            if letter.why is Why.AGAIN and not self.polled(site.host):
                self.missed.append(site.host)
        site.state = state
        self.looks_at[site.host] += 1


def _changed(known: State | None, state: State | None, *, hinted: bool) -> bool:
    if known is None or state is None:
        return known is not state
    return known != state or (hinted and known.touched_by(state))


def next_tick() -> None:
    """Wait for the clock that files get their times from: a change within a tick is not seen."""
    coarse = 5  # CLOCK_REALTIME_COARSE
    before = time.clock_gettime_ns(coarse)
    while time.clock_gettime_ns(coarse) == before:
        time.sleep(0.001)


def release(directory: Path, text: str = "app = None\n") -> Path:
    """Make a release with a package in it; return its wsgi directory."""
    package = directory / "wsgi" / "package"
    package.mkdir(parents=True)
    (directory / "wsgi" / "app.py").write_text(text)
    (package / "__init__.py").write_text("")
    return directory / "wsgi"
