"""One vhost, and the attempts to load it.

``Sites.lock`` guards every field that is not said to belong to a thread.
"""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

from mod_wsgi_van.files.chain import Identity
from mod_wsgi_van.sites.release import Answer, Place, Release, State
from mod_wsgi_van.tally import Tally

_GOING = 2  # so many releases in a row that do not end are no accident

_serial = itertools.count(1)


class Attempt:
    """One attempt to load a vhost.

    ``done`` is set when it has ended, either way, and ``answered`` when who waits for it to answer
    a request need not wait any more.
    """

    __slots__ = (
        "answered",
        "begun",
        "deadline",
        "done",
        "ended",
        "first",
        "hinted",
        "met",
        "said_late",
        "seen",
        "site",
        "started",
        "state",
        "supersedes",
    )

    def __init__(self, site: Site, timeout: float, *, first: bool) -> None:
        self.site = site
        self.met = 0  # when it first met others at its directory: of two, the later one waits
        self.first = first  # requests wait for it
        self.supersedes = site.attempt is not None  # one that was late
        self.hinted = False  # look at the site when it has ended: something changed meanwhile
        self.begun = time.time_ns()
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.done = threading.Event()
        self.answered = threading.Event()
        self.state: State | None = None  # known once the loading thread measured it
        self.ended: object = None  # of what release that had to end before: its ``prepared``
        self.said_late = False  # the reload thread's
        self.seen: State | None = None  # what a poll saw last while it ran; the reload thread's

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.deadline

    def end(self) -> None:
        """Nobody need wait for it any more: requests first, for a shutdown goes on after them."""
        self.answered.set()
        self.done.set()


class Site:
    """One vhost's directory.

    ``release`` is None until the first load, an Answer while there is nothing to serve, and else
    the current release. ``answer`` is what requests get: that, or ``maintenance`` while there is
    one. ``state`` is that of the last attempt, failed ones included, and ``took``
    when that was: ns since the epoch, from and to.
    """

    __slots__ = (
        "_going",
        "_maintenance",
        "_release",
        "answer",
        "attempt",
        "attempts",
        "capped",
        "files",
        "host",
        "key",
        "marked",
        "marks",
        "own_changes",
        "path",
        "place",
        "requests",
        "state",
        "stranger",
        "tally",
        "took",
    )

    def __init__(self, host: str, path: Path) -> None:
        self.host = host
        self.path = path
        self._release: Release | Answer | None = None
        self._maintenance: Answer | None = None
        self.answer: Release | Answer | None = None
        # Of the threads that look: the files that put it in maintenance, and what they found there.
        self.marks: tuple[str, ...] = ()
        self.marked: tuple[Identity | None, ...] = ()
        self.requests = itertools.count()  # advanced by each request
        self.tally = Tally()
        self.attempt: Attempt | None = None
        self.attempts = 0  # that have ended, one way or the other
        self.state: State | None = None
        self.place: Place | None = None  # where the last attempt has met it
        self.took = (0, 0)
        self.files: tuple[str, ...] = ()  # what the traceback of a failed attempt named
        self.stranger = False  # there is no such directory as far as anybody knows
        # Releases in a row that went on when they were retired; of the threads that retire them.
        self._going = 0
        self.capped: tuple[str, ...] = ()  # said of the last release; of the loading threads
        self.own_changes = 0  # loads in a row that changed their own files; the reload thread's
        # What the watcher knows it by. Of its own for every site, so that removing an evicted one
        # cannot take away the watches of its successor, whatever the order of two threads.
        self.key = f"{path}#{next(_serial)}"

    @property
    def release(self) -> Release | Answer | None:
        return self._release

    @release.setter
    def release(self, release: Release | Answer | None) -> None:
        self._release = release
        self.answer = self._maintenance or release

    @property
    def maintenance(self) -> Answer | None:
        return self._maintenance

    @maintenance.setter
    def maintenance(self, maintenance: Answer | None) -> None:
        self._maintenance = maintenance
        self.answer = maintenance or self._release

    @property
    def goes_on(self) -> bool:
        """Whether its releases go on in this process after each deploy: as far as is known."""
        return self._going >= _GOING

    def retired(self, *, ended: bool) -> None:
        """Count a release that was retired.

        What is known stays known: in a worker process every release ends.
        """
        if not self.goes_on:
            self._going = 0 if ended else self._going + 1
