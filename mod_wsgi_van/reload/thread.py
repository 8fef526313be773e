"""The reload thread, ``van-reload``: turns hints into reloads, retires what was replaced, walks.

It owns the changes, the looks, the errands, the walk and the retirements. It touches no file and
loads nothing itself, so that neither a file server that does not answer nor an import that hangs
delays any other site. Other threads write to its mailbox.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.reload import saying
from mod_wsgi_van.reload.attempts import Attempts
from mod_wsgi_van.reload.changes import Changes
from mod_wsgi_van.reload.errands import Back, Done, Errand, Errands
from mod_wsgi_van.reload.looks import Glimpsed, Looks, Seen, Why
from mod_wsgi_van.reload.mailbox import Ended, Stale, Wake
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.reload.retiring import Retirement
from mod_wsgi_van.reload.walk import Walk
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.release import Release
from mod_wsgi_van.sites.site import Site

log = logging.getLogger(__name__)


class ReloadThread:
    """Runs its parts; start() and stop() are called by other threads, once each."""

    def __init__(self, parts: Parts, attempts: Attempts, settings: Settings) -> None:
        self._parts = parts
        self._attempts = attempts
        self._errands = Errands(parts.mailbox)
        self._looks = Looks(parts, self._errands)
        self._changes = Changes(parts, attempts, self._looks, settings.settle)
        self._walk = Walk(parts, self._looks, self._errands, settings)
        self.turns = 0  # how often it woke up
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="van-reload", daemon=True)

    def start(self, base_path: str) -> None:
        """Look at all sites, for some were loaded before this process was forked off; then go on.

        Raises RuntimeError when no thread is to be had.
        """
        for site in self._parts.sites:
            if not isinstance(site.release, Release):
                self._parts.sites.reset(site)
            self._looks.order(site, Why.AGAIN)
        self._errands.put(Errand(iter([Site("", Path(base_path))]), _check_base))
        try:
            self._thread.start()
        except RuntimeError:
            self._errands.stop()
            raise

    def stop(self, timeout: float) -> None:
        """End the thread, in ``timeout`` seconds at most; Retiring keeps what it was to retire."""
        self._stopping = True
        self._parts.mailbox.put(Wake())
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._errands.stop()
        for letter in self._parts.mailbox.rest():
            if isinstance(letter, Retirement):
                self._parts.retiring.take(letter)

    def _run(self) -> None:
        while not self._stopping:
            self._guarded(self._turn)

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call ``act``; whatever that raises, SystemExit of a hook included, ends nothing here."""
        try:
            act(*arguments)
        except BaseException:
            log.exception("VAN009: the reload thread met an unexpected error and goes on")

    def _turn(self) -> None:
        """Wait for letters, or for the time of the next thing to do; read them, and act."""
        due = self._next_due()
        timeout = None if due is None else max(0.0, due - time.monotonic())
        for letter in self._parts.mailbox.take(timeout):
            self._guarded(self._read, letter)
        self.turns += 1
        now = time.monotonic()
        for site in self._errands.check(now):
            self._say_silent(site)
        self._changes.act(now)
        self._say_late(now)
        self._parts.retiring.expire(now)
        self._walk.step(now)

    def _next_due(self) -> float | None:
        times = [
            self._changes.next_due(),
            self._errands.next_due(),
            self._parts.retiring.next_deadline(),
            self._walk.next_due(),
        ]
        times += [each.deadline for each in self._attempts.running.copy() if not each.said_late]
        due = min((each for each in times if each is not None), default=inf)
        return None if due == inf else due

    def _read(self, letter: object) -> None:
        if isinstance(letter, Stale):
            site = self._parts.sites.by_key(letter.key)
            if site is None:
                self._parts.watcher.remove(letter.key)  # evicted while it was being armed
            else:
                self._changes.hint(site)
        elif isinstance(letter, Seen):
            self._looks.arrived(letter.site)
            try:
                self._changes.seen(letter)
            except BaseException:  # a version of a hook's that cannot be compared
                self._changes.drop(letter.site)
                raise
        elif isinstance(letter, Glimpsed):
            self._looks.arrived(letter.site)
            self._changes.glimpsed(letter)
        elif isinstance(letter, Done):
            self._errands.done()
            self._walk.done(letter.errand)
        elif isinstance(letter, Back):
            self._back(letter)
        elif isinstance(letter, Ended):
            self._changes.ended(letter.attempt)
        elif isinstance(letter, Retirement):
            self._parts.retiring.take(letter)

    def _back(self, letter: Back) -> None:
        site, silent = self._errands.back(letter)
        if silent:
            log.info("%s: its file system answers again", site.host)
        self._looks.resume(site)

    def _say_silent(self, site: Site) -> None:
        loader = self._parts.loader
        saying.silent(site, loader.wsgi(site.path), asks=loader.asks)

    def _say_late(self, now: float) -> None:
        for attempt in self._attempts.running.copy():
            if attempt.deadline <= now and not attempt.said_late:
                attempt.said_late = True
                hurry.end(attempt)
                if attempt.state is None:
                    self._say_silent(attempt.site)
                else:
                    saying.late(attempt, self._parts.loader.wsgi(attempt.site.path))
                self._changes.late(attempt)


def _check_base(base: Site) -> None:
    if not os.path.isdir(base.path):
        log.warning(
            "VAN013: base_path %s is not a directory: hosts below it get 404 until it is;"
            " create it, or give the Router another base_path",
            base.path,
        )
