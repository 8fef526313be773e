"""Errands to the file system: what may take long, or for ever, is not done by the reload thread.

``van-files`` runs them one after the other. The reload thread looks at the clock: a thread that
does not come back from one site in time is left behind, and another one goes on with the rest. So a
file server that does not answer holds up the sites that are on it, and no others.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.reload.mailbox import Mailbox
from mod_wsgi_van.sites.site import Site

log = logging.getLogger(__name__)

PATIENCE = 0.25  # seconds at one site until another thread goes on with the others
MOST_LEFT = 32  # threads left behind at a time; beyond, all wait for one of them
SILENT = 5.0  # seconds until a site's file system counts as one that does not answer


@dataclass(eq=False, slots=True)
class Errand:
    """What to do for each of ``sites``; ``work`` returns a letter to the reload thread, or None.

    It ends early when its sites have cost ``budget`` seconds of processor time, or at ``until``
    (monotonic).
    """

    sites: Iterator[Site]
    work: Callable[[Site], object | None]
    budget: float = float("inf")
    until: float = float("inf")
    cost: float = 0.0  # seconds of processor time


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """To the reload thread: an errand has ended."""

    errand: Errand


@dataclass(eq=False, slots=True)
class Hand:
    """One thread, and where it is; guarded by Errands._lock."""

    errand: Errand | None = None
    site: Site | None = None
    since: float = 0.0  # monotonic
    left: bool = False  # left behind: to end when it comes back
    said: bool = False  # the reload thread's
    thread: threading.Thread | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Back:
    """To the reload thread: a thread that was left behind has come back."""

    hand: Hand
    site: Site


class Errands:
    """The errands of one process. Every method is called by the reload thread.

    ``_lock`` guards where each thread is, so that one is left behind only while it is at a site:
    what it has left of its errand then is the next one's, to the last site exactly once.
    """

    def __init__(
        self, mailbox: Mailbox, *, patience: float = PATIENCE, most_left: int = MOST_LEFT
    ) -> None:
        self._mailbox = mailbox
        self._patience = patience
        self._most_left = most_left
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._hand: Hand | None = None
        self._left: set[Hand] = set()
        self._outstanding = 0

    def put(self, errand: Errand) -> None:
        """Do an errand after those that were put before it."""
        if self._outstanding == 0:
            hurry.begin(self)
        self._outstanding += 1
        self._queue.put(errand)
        if self._hand is None:
            self._start()

    def _start(self) -> None:
        hand = Hand(since=time.monotonic())
        hand.thread = threading.Thread(
            target=self._run, args=(hand,), name="van-files", daemon=True
        )
        try:
            hand.thread.start()
        except RuntimeError:  # no thread to be had: asked for again at the next look at the clock
            hand.thread = None
            return
        self._hand = hand

    def absent(self, site: Site) -> bool:
        """Whether a thread is left behind at this site, so that it is not asked again."""
        return any(hand.site is site for hand in tuple(self._left))

    def silent_devices(self) -> set[int]:
        """Return st_dev of the file systems that a thread waits for: not to be asked by a walk."""
        sites = [hand.site for hand in self._left]  # None as soon as it comes back
        states = [site.state for site in sites if site is not None]
        return {state.identity[0] for state in states if state is not None and state.identity}

    def next_due(self) -> float | None:
        """When to look at the clock; monotonic."""
        times = [hand.since + SILENT for hand in self._left if not hand.said]
        if self._outstanding and len(self._left) < self._most_left:
            hand = self._hand
            since = hand.since if hand is not None and hand.site is not None else time.monotonic()
            times.append(since + self._patience)
        return min(times, default=None)

    def check(self, now: float) -> list[Site]:
        """Leave a thread behind that is late; return the sites that do not answer, each once."""
        if self._hand is None and self._outstanding:
            self._start()
        elif self._hand is not None and len(self._left) < self._most_left:
            self._leave(self._hand, now)
        silent = []
        for late in self._left:
            site = late.site
            if site is not None and not late.said and now - late.since >= SILENT:
                late.said = True
                silent.append(site)
        return silent

    def _leave(self, hand: Hand, now: float) -> None:
        with self._lock:
            site, errand = hand.site, hand.errand
            if site is None or errand is None or now - hand.since < self._patience:
                return
            hand.left = True
        self._left.add(hand)
        self._queue.put(errand)  # with the sites that are left of it
        self._hand = None
        self._start()

    def back(self, letter: Back) -> tuple[Site, bool]:
        """Note that a thread has come back; return its site and whether that was called silent."""
        self._left.discard(letter.hand)
        return letter.site, letter.hand.said

    def done(self) -> None:
        """Note that an errand has ended."""
        self._outstanding -= 1
        if self._outstanding == 0:
            hurry.end(self)

    def stop(self) -> None:
        """Let the thread end after its errand; those left behind end when they come back."""
        hurry.end(self)
        hand, self._hand = self._hand, None
        if hand is not None:
            hand.left = True
            self._queue.put(None)
            if hand.thread is not None:
                hand.thread.join(self._patience)

    def _run(self, hand: Hand) -> None:
        """The thread."""
        while (errand := self._queue.get()) is not None:
            if not self._go(hand, errand):
                return
            self._mailbox.put(Done(errand))

    def _go(self, hand: Hand, errand: Errand) -> bool:
        """Whether the errand is over; False when this thread was left behind in the middle."""
        for site in errand.sites:
            begin = time.thread_time()
            with self._lock:
                hand.errand, hand.site, hand.since = errand, site, time.monotonic()
            try:
                letter = errand.work(site)
            except BaseException:  # a hook may exit; that must not end our thread
                log.exception("%s: VAN009: looking at its files failed", site.host)
                letter = None
            with self._lock:
                hand.site = None
            if letter is not None:
                self._mailbox.put(letter)
            if hand.left:
                self._mailbox.put(Back(hand, site))
                return False
            errand.cost += time.thread_time() - begin
            if errand.cost >= errand.budget or hand.since >= errand.until:
                break
        return True
