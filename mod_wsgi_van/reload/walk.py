"""Polling and the sweep: the same walk over the sites, at two paces.

Polling looks every ``update_interval`` seconds at the sites of which inotify does not tell all:
with one ``stat`` through the links for each, which shows a swap of any hop, a touch, a creation and
a deletion. An edit in place shows in the measured version only, which costs far more: few sites are
all measured in every round, many in rotation, within POLL_SHARE of one core. The sweep measures all
sites, ever so slowly, in case an event was lost. While no site is polled nothing is done for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import length_hint

from mod_wsgi_van.reload.errands import Errand, Errands
from mod_wsgi_van.reload.looks import Looks, Why
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.sites.table import Sites

POLL_SHARE = 0.05  # of one core, for measuring what is polled
_LEAST = 0.1  # of that, however long the stats took: the rotation never stands still
# The most of a core that the sweep takes: as a last net, and where it asks an override of
# get_version, whose cost is not ours.
SWEEP_SHARE = 0.0005
ASKING_SHARE = 0.1
# What one errand of a walk takes at most, so that a look for a hint does not wait for all of it.
_STEP = 20  # sites that are measured
_STATS = 250  # sites of which one stat shows a change
_SLICE = 0.005  # seconds of a rotation
_REST = 0.01  # seconds between two steps of a sweep


@dataclass(frozen=True, slots=True)
class Pace:
    """``interval``: seconds from one round to the next, 0 for never. ``share`` of one core."""

    interval: float
    share: float


class _Round:
    """One pace, and how far it has come. Owned by the reload thread."""

    def __init__(self, pace: Pace, sites: Callable[[], list[Site]]) -> None:
        self.pace = pace
        self.due = time.monotonic() + pace.interval if pace.interval > 0 else float("inf")
        self.errand: Errand | None = None  # under way
        self.cost = 0.0
        self.until = 0.0  # monotonic; a rotation goes on until then, or until its budget is spent
        self._sites = sites
        self.left: Iterator[Site] | None = None  # None between two rounds

    def begin(self) -> None:
        self.left, self.cost = iter(self._sites()), 0.0

    def end(self, rest: float) -> None:
        self.left = None
        self.due = time.monotonic() + max(self.pace.interval, rest)


class Walk:
    """Both paces. Called by the reload thread.

    Where an override of get_version decides, no event tells of a change: the sweep is how it is
    asked then, every ``update_interval``.
    """

    def __init__(self, parts: Parts, looks: Looks, errands: Errands, settings: Settings) -> None:
        self._sites = parts.sites
        self._watcher = parts.watcher
        self._looks = looks
        self._errands = errands
        asks = parts.loader.asks
        if asks:
            sweep = Pace(settings.update_interval, ASKING_SHARE)
        else:
            sweep = Pace(settings.sweep_interval, SWEEP_SHARE)
        poll = Pace(settings.update_interval, POLL_SHARE)
        self._poll = _Round(poll, self._polled_sites)
        self._sweep = _Round(sweep, lambda: self._answering(self._sites))
        self._measure = partial(looks.measure, Why.POLL if asks else Why.SWEEP)
        self._rotation: Iterator[Site] = iter(())

    def next_due(self) -> float | None:
        """When to take the next step; monotonic."""
        times = [self._sweep.due] if self._sweep.errand is None else []
        if self._polls():
            times.append(self._poll.due)
        return min(times, default=None)

    def _polls(self) -> bool:
        """Whether polling takes a step: where a round is under way it comes to its end."""
        under_way = self._poll.left is not None
        return self._poll.errand is None and (under_way or bool(self._watcher.polled()))

    def step(self, now: float) -> None:
        if self._sweep.errand is None and self._sweep.due <= now:
            self._go_on(self._sweep, self._measure)
        if self._polls() and self._poll.due <= now:
            self._go_on(self._poll, self._looks.poll)

    def _go_on(self, round_: _Round, work: Callable[[Site], object | None]) -> None:
        if round_.left is None:
            round_.begin()
        assert round_.left is not None
        step = list(islice(round_.left, _STEP if round_ is self._sweep else _STATS))
        if step:
            round_.errand = Errand(iter(step), work)
            self._errands.put(round_.errand)
        elif round_ is self._sweep:
            round_.end(round_.cost / round_.pace.share)
        else:
            self._rotate(round_)

    def _rotate(self, round_: _Round) -> None:
        """At the end of a round of polling: measure some, one at least, and go on next time."""
        if not length_hint(self._rotation):
            self._rotation = iter(self._polled_sites())
        if round_.left is not None:
            budget = round_.pace.share * round_.pace.interval
            round_.cost = min(round_.cost - budget, -_LEAST * budget)  # what is left of it
            round_.left = None
            round_.until = time.monotonic() + round_.pace.interval
        round_.errand = Errand(
            self._rotation,
            partial(self._looks.measure, Why.POLL),
            budget=min(-round_.cost, _SLICE),
            until=round_.until,
        )
        self._errands.put(round_.errand)

    def done(self, errand: Errand) -> None:
        """An errand has ended, of this walk or not."""
        if errand is self._sweep.errand:
            self._sweep.errand = None
            self._sweep.cost += errand.cost
            self._sweep.due = time.monotonic() + _REST
        elif errand is self._poll.errand:
            poll = self._poll
            poll.errand = None
            poll.cost += errand.cost
            if poll.left is not None:
                return
            if poll.cost < 0 and errand.cost >= _SLICE and time.monotonic() < poll.until:
                self._rotate(poll)
            else:
                poll.end(0.0)

    def _polled_sites(self) -> list[Site]:
        found = []
        for key in tuple(self._watcher.polled()):
            site = self._sites.by_key(key)
            if site is None:
                self._watcher.remove(key)  # evicted while it was being armed
            else:
                found.append(site)
        return self._answering(found)

    def _answering(self, sites: Iterator[Site] | list[Site] | Sites) -> list[Site]:
        """Those whose file system a thread does not already wait for."""
        silent = self._errands.silent_devices()
        return [site for site in sites if not silent or _device(site) not in silent]


def _device(site: Site) -> int | None:
    state = site.state
    return state.identity[0] if state is not None and state.identity is not None else None
