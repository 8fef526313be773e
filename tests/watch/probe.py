"""What the tests of watchers see a watcher through."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import Watcher
from tests.support.links import swap
from tests.support.waiting import DEADLINE


class Reports:
    """A ``stale`` callback that counts; waiting on it has a deadline."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self.action: Callable[[], None] | None = None

    def __call__(self, key: str) -> None:
        with self._changed:
            self.counts[key] += 1
            self._changed.notify_all()
        if self.action is not None:
            self.action()

    def wait(self, key: str, more_than: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.counts[key] > more_than, DEADLINE)


class Probe:
    """A watcher, what it reported, and a key of its own that tells when it has seen all."""

    def __init__(self, make: Callable[[Reports], Watcher], directory: Path) -> None:
        self.reports = Reports()
        self.watcher = make(self.reports)
        directory.mkdir()
        (directory / "a").mkdir()
        (directory / "b").mkdir()
        (directory / "link").symlink_to("a")
        self._sentinel = directory / "link"
        self._targets = itertools.cycle("ba")
        self._serial = itertools.count()

    def start(self) -> None:
        self.watcher.start()
        self.watcher.add("sentinel", Target(str(self._sentinel), tree=False))
        self.settle()

    def add(self, key: str, path: Path, **further: Any) -> None:
        self.watcher.add(key, Target(str(path), **further))
        self.settle()

    def settle(self) -> None:
        """Wait until all that happened before has been looked at, reported and armed.

        Events come in order, so a change of the sentinel comes last. A poller looks at its keys
        in turn: the second change is seen after a whole sweep that began after the first. inotify's
        reader reports before its worker arms: a new key is reported by the worker.
        """
        for _ in range(2):
            before = self.reports.counts["sentinel"]
            swap(self._sentinel, next(self._targets))
            assert self.reports.wait("sentinel", before), "the watcher is dead"
        last = f"sentinel{next(self._serial)}"
        self.watcher.add(last, Target(str(self._sentinel), tree=False))
        if not self.watcher.polled(last):
            assert self.reports.wait(last, 0), "the watcher is dead"
        self.watcher.remove(last)

    def expect(self, key: str, change: Callable[[], object]) -> None:
        """The change is reported under the key."""
        before = self.reports.counts[key]
        change()
        assert self.reports.wait(key, before), f"not reported under {key}"
        self.settle()

    def expect_nothing(self, change: Callable[[], object]) -> None:
        """The change is reported under no key."""
        before = self._quiet()
        change()
        self.settle()
        assert self._quiet() == before

    def _quiet(self) -> dict[str, int]:
        counts = self.reports.counts
        return {key: counts[key] for key in counts if not key.startswith("sentinel")}


def release(directory: Path, text: str = "app = None\n") -> Path:
    """Make a release with a package in it; return its wsgi directory."""
    package = directory / "wsgi" / "package"
    package.mkdir(parents=True)
    (directory / "wsgi" / "app.py").write_text(text)
    (package / "__init__.py").write_text("")
    return directory / "wsgi"
