"""What is counted of one site, or of a whole process, without a lock."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from dataclasses import dataclass


def reading(count: itertools.count[int]) -> int:
    """How often ``next`` was called; to read it must not count."""
    return int(repr(count)[len("count(") : -1])


@dataclass(frozen=True, slots=True)
class Failure:
    """``text`` is one line; ``time`` is seconds since the epoch."""

    code: str
    text: str
    time: float


class Tally:
    """Goes on when a release of the site is replaced; any thread may count.

    With the GIL, ``next`` of a count and the look-up before it are one step each.
    """

    __slots__ = ("_counts", "failing", "failure", "last_load", "load_seconds", "since")

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], itertools.count[int]] = defaultdict(
            itertools.count
        )
        self.since = 0.0  # when what is live went live; seconds since the epoch
        self.load_seconds = 0.0  # all loads together
        self.last_load = 0.0
        self.failure: Failure | None = None  # the last one
        self.failing = False  # and nothing was loaded since

    def note(self, kind: str, which: str = "") -> None:
        next(self._counts[kind, which])

    def noted(self, kind: str) -> dict[str, int]:
        """How often each was noted."""
        counts = list(self._counts.items())
        return {which: reading(count) for (each, which), count in counts if each == kind}

    def loaded(self, seconds: float, *, again: bool) -> None:
        """A load has ended well; ``again``: there was a release before it."""
        self.note("loads")
        self.load_seconds += seconds
        self.last_load = seconds
        if again:
            self.note("reloads", "ok")

    def live(self) -> None:
        """A release went live."""
        self.since = time.time()
        self.failing = False

    def failed(self, code: str, text: str, *, again: bool) -> None:
        """A load has failed; ``again``: there is, or was, a release before it."""
        self.failure = Failure(code, text, time.time())
        self.failing = True
        if again:
            self.note("reloads", "failed")
