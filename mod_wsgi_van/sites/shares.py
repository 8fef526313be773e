"""How many of the server's threads a site may hold, so that some are left for the others.

A request holds a thread from its beginning to the end of its response: while the application is
slow, while the client sends or takes slowly, while it waits for a worker with room. While n threads
are free, a site that holds fewer than 2 ** (n - 1) may take one more, and any site its first one.
Of 32 threads a slow site that is alone gets 27, of two each gets about 14, of three about 9: when
one gets free, it goes to the site that holds less.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time

from mod_wsgi_van.interpreter.life import Notes, ServerState
from mod_wsgi_van.sites.release import ALONE, Answer, Release, Share
from mod_wsgi_van.sites.table import Sites

log = logging.getLogger(__name__)

# Seconds. A site whose requests all end sooner may have more: the threads come back by themselves.
# To learn whether that is so, requests beyond its share wait, at most so long. It does not get all:
# what its requests wait for may hang at any time.
QUICK = 0.25
_KEPT = 2  # threads
_PATIENCE = 1.0
_POLL = 0.002
_QUICK_FOR = 1.0  # how long what was learned holds; this one goes on while it shows
_SLOW_FOR = 60.0
_SAY_AGAIN = 60.0

_NOTE = "mod_wsgi_van.thread"  # the site that holds a thread; from the first count on, since when
_WAITING = ("", math.inf)


class Shares:
    """Asked by a request that finds others of its release under way, in its own thread.

    mod_wsgi has a dict of notes for each request under way, which goes with the request. With
    another server the leases tell how many there are, but not since when, and environs that an
    application keeps count as well.
    """

    def __init__(self, server: ServerState, threads: int, sites: Sites) -> None:
        self._active, self._notes = server.active, server.notes
        self._threads = threads or server.threads
        self._sites = sites
        # So many requests at most, the one that asks among them, leave room whosever they are.
        self._plenty = sum(self._leaves_room(held, held) for held in range(self._threads))
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.Lock()  # guards the shares of all releases

    def take(self, release: Release | Answer) -> bool:
        """Whether a request may go on that holds the lease; may wait for QUICK seconds."""
        share, busy = release.share, len(self._active)
        try:
            notes = self._notes()
        except RuntimeError:  # mod_wsgi: in this thread there is no request of the server's
            return True
        if 0 < busy <= self._plenty and not share.most:  # mostly it is as simple as that
            notes[_NOTE] = share.host
            return True
        if not (self._threads or share.most):
            return True
        notes[_NOTE] = _WAITING
        begun = now = time.monotonic()
        while True:
            with self._lock:
                own, held, slow = self._count(release, now)
                moves = slow <= self._threads // 4
                judged = now < share.judged_until
                quick = judged and share.quick and moves
                below = own < (share.most or math.inf)
                more = quick and self._threads - held > _KEPT
                if below and (more or self._leaves_room(own, held)):
                    if more:
                        share.judged_until = now + _QUICK_FOR
                    notes[_NOTE] = share.host
                    return True
                if not (below and busy and (quick or not judged)) or now - begun > _PATIENCE:
                    self._refuse(share, own, now)
                    return False
                if now - share.full_at > QUICK:
                    share.full_since = now
                share.full_at = now
                if now - share.full_since > QUICK:
                    share.quick = moves
                    share.judged_until = now + (_QUICK_FOR if moves else _SLOW_FOR)
            time.sleep(_POLL)
            now = time.monotonic()

    def _leaves_room(self, own: int, held: int) -> bool:
        free = self._threads - held
        return not (own and self._threads) or own < 1 << max(0, free - 1)

    def _count(self, release: Release | Answer, now: float) -> tuple[int, int, int]:
        """The threads that the site holds, that all hold, and that are held longer than QUICK.

        Without those of requests that ask, as the caller.
        """
        active = list(self._active.values())
        if not active:
            return self._count_leases(release)
        notes = [_dated(each, now) for each in active]
        held = [(host, since) for host, since in notes if since != math.inf]
        own = sum(host == release.share.host for host, _ in held)
        if not release.share.most and any(not host for host, _ in held):
            # One that was the first of its site asked nobody: is it the first of this one?
            own += sys.getrefcount(release.lease) - ALONE > own
        return own, len(held), sum(now - since > QUICK for _, since in held)

    def _count_leases(self, release: Release | Answer) -> tuple[int, int, int]:
        others = {site.release for site in self._sites if self._threads and site.release != release}
        own = sys.getrefcount(release.lease) - ALONE
        held = own + sum(
            sys.getrefcount(other.lease) - ALONE + 1
            for other in others
            if isinstance(other, Release)
        )
        return own, held, held

    def _refuse(self, share: Share, own: int, now: float) -> None:
        share.refused += 1
        share.tally.note(
            "refused", "max_concurrency" if own >= (share.most or math.inf) else "share"
        )
        if now >= share.said_until:
            share.said_until = now + _SAY_AGAIN
            text = (
                "%s: VAN043: its requests hold %d of %s threads of the server, as many as they may:"
                " more get 503, %d until now; find what makes them slow, or raise threads of"
                " WSGIDaemonProcess, or max_concurrency where it is set"
            )
            log.warning(text, share.host, own, self._threads or "the", share.refused)


def _dated(notes: Notes, now: float) -> tuple[str, float]:
    """The site that holds a thread, and since when as far as it was noticed."""
    note = notes.get(_NOTE, "")
    if type(note) is str:
        note = notes[_NOTE] = (note, now)
    dated: tuple[str, float] = note
    return dated
