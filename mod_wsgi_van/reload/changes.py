"""The changes that were seen and are not taken yet: when is a site loaded anew?

Owned by the reload thread. A swap is taken at once, an edit in place when the site has been left
alone for ``settle`` seconds, a change that a load makes itself ever later. What is taken is loaded
in the order in which it was taken, a few sites at a time.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from mod_wsgi_van.errors import HookFailed
from mod_wsgi_van.files.version import Version
from mod_wsgi_van.lines import escape
from mod_wsgi_van.reload.attempts import Attempts
from mod_wsgi_van.reload.looks import Glimpsed, Looks, Seen, Why
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.sites.release import Answer, Release, State
from mod_wsgi_van.sites.site import Attempt, Site

log = logging.getLogger(__name__)

# An edit in place is taken after this many times ``settle`` although it goes on.
_PATIENCE = 10
# Background loads at a time: more only take the processor from the requests. One that runs for
# longer than the seconds below waits for something, and does not count.
_PARALLEL = 4
_BUSY = 1.0
_NO_THREAD = 1.0  # seconds until a thread is asked for again
_NO_LETTER = 1.0  # seconds until a look is ordered again that brought nothing
# Seconds until a hook that raised is asked again: doubled each time, up to the second.
_RETRY = (1.0, 60.0)
# A change that a load makes itself is taken ever later; said once, when it is the third in a row.
_OWN_CHANGES = 3
_OWN_PAUSES = (0.1, 60.0)  # seconds
_TICK = 20_000_000  # ns by which a file's ctime may lag: the kernel's clock for it is coarse
# Seconds for an environment to come back that was taken away where it stood. To make one anew with
# python -m venv, or with uv, takes less from the end of rm to the first new file.
_NO_ENVIRONMENT = 3.0


@dataclass(slots=True)
class Pending:
    """A change that was seen and is not taken yet."""

    site: Site
    first: float  # monotonic
    due: float  # monotonic
    seen: State | None  # None: the site is gone
    why: Why  # of the look that found it; HINT as soon as there was one
    own: bool  # made by the load itself
    asked: bool = False  # a look was ordered when it was due


@dataclass(slots=True)
class Failing:
    """A hook that raised for a site, and when it is asked again."""

    site: Site
    text: str
    pause: float  # seconds
    due: float  # monotonic


class Changes:
    """Decides from what looks found; has sites looked at, loaded and forgotten."""

    def __init__(self, parts: Parts, attempts: Attempts, looks: Looks, settle: float) -> None:
        self._sites = parts.sites
        self._loader = parts.loader
        self._attempts = attempts
        self._looks = looks
        self._settle = settle
        self._pending: dict[str, Pending] = {}
        self._failing: dict[str, Failing] = {}
        self._taken: dict[str, Site] = {}  # first come, first loaded
        self._no_thread_until = 0.0  # monotonic

    def next_due(self) -> float | None:
        times = [pending.due for pending in self._pending.values()]
        times += [failing.due for failing in self._failing.values()]
        if self._taken:
            times.append(max(self._room_at(), self._no_thread_until))
        return min(times, default=None)

    def act(self, now: float) -> None:
        """Do what is due: have sites looked at once more, and load what was taken."""
        for pending in list(self._pending.values()):
            if pending.due <= now:
                pending.asked = True
                pending.due = now + self._settle + _NO_LETTER
                self._looks.order(pending.site, pending.why)
        for failing in list(self._failing.values()):
            if failing.due <= now:
                failing.due = now + failing.pause
                self._looks.order(failing.site, Why.AGAIN)
        self._attempts.awaited = bool(self._taken)
        while self._taken and now >= self._no_thread_until and self._room_at() <= now:
            site = next(iter(self._taken.values()))
            if isinstance(site.release, Answer):
                self._sites.reset(site)  # requests wait for the new attempt from here on
            if not self._attempts.again(site):
                self._no_thread_until = now + _NO_THREAD
                return
            del self._taken[site.key]

    def _room_at(self) -> float:
        """When one more may be loaded, if no attempt ends before; monotonic."""
        times = sorted(attempt.started + _BUSY for attempt in self._attempts.running.copy())
        return times[-_PARALLEL] if len(times) >= _PARALLEL else 0.0

    def drop(self, site: Site) -> None:
        """Forget what is pending for ``site``."""
        self._pending.pop(site.key, None)

    def forget(self, site: Site) -> None:
        """Forget a site that is not there (any more)."""
        for table in (self._pending, self._failing, self._taken):
            table.pop(site.key, None)
        self._looks.forget(site)

    def hint(self, site: Site) -> None:
        """The watcher says that a site may have changed."""
        attempt = site.attempt
        if attempt is not None and not attempt.late:
            self._leave_to(attempt)
            self._looks.glimpse(site)  # maintenance does not wait for an import
            return
        pending = self._pending.get(site.key)
        if pending is None or pending.own:
            self._looks.order(site, Why.HINT)
            return
        # A writer that never pauses must cost one cheap look per event, not a scan of its tree.
        now = time.monotonic()
        pending.why = Why.HINT
        pending.due = min(now + self._settle, pending.first + _PATIENCE * self._settle)
        self._looks.glimpse(site)

    def _leave_to(self, attempt: Attempt) -> None:
        """Have the site looked at when the attempt has ended, or is late."""
        attempt.hinted = True
        self.drop(attempt.site)
        if attempt.site.attempt is not attempt:  # it has ended, maybe before it saw that
            self._looks.order(attempt.site, Why.HINT)

    def ended(self, attempt: Attempt) -> None:
        """An attempt has ended: look at what changed meanwhile."""
        if attempt.site.stranger:
            self.forget(attempt.site)
        if attempt.hinted:
            self._looks.order(attempt.site, Why.AGAIN)

    def late(self, attempt: Attempt) -> None:
        """An attempt is late: hints so far were left to its end."""
        self._looks.order(attempt.site, Why.AGAIN)

    def glimpsed(self, letter: Glimpsed) -> None:
        """A swap need not wait until the files that were edited before it have settled."""
        pending = self._pending.get(letter.site.key)
        if pending is None:
            return
        if pending.seen is None or letter.directory != pending.seen.directory:
            self._looks.order(letter.site, Why.HINT)

    def seen(self, letter: Seen) -> None:
        """Compare what is there with what was loaded, and note or take the change."""
        site, state, why = letter.site, letter.state, letter.why
        attempt = site.attempt
        if attempt is not None and why is Why.POLL:
            why = _polled(attempt, state)
        if attempt is not None and not attempt.late:
            if why is Why.HINT:
                self._leave_to(attempt)
            self.drop(site)
            return
        if letter.attempts != site.attempts:
            self._looks.order(site, why)
            return
        pending = self._pending.get(site.key)
        waits = site.key in self._failing or (pending is not None and not pending.asked)
        if why <= Why.POLL and waits:
            return  # it is looked at when that is due; a walk must not undo what a hint began
        if site.stranger:
            self.drop(site)
            if state is not None:
                self._sites.reset(site)
            return  # the next request loads it
        if letter.error is not None:
            self._complain(site, letter.error)
            return
        self._failing.pop(site.key, None)
        if attempt is None and site.release is None:
            self.drop(site)
            return  # the next request loads it
        if attempt is not None and why < Why.HINT and not _supersedes(attempt, state):
            self.drop(site)
            return
        known = site.state if attempt is None else attempt.state
        if state is not None and known is not None and self._unchanged(site, known, state, why):
            self.drop(site)
            return
        self._note(site, known, state, why)

    def _unchanged(self, site: Site, known: State, state: State, why: Why) -> bool:
        """Whether there is nothing to load.

        With a hint a moved mtime of the directory is a ``touch``: watchers report no ignored
        names. Without, it may be bytecode that our own load wrote, and equality leaves it out.
        """
        if site.attempt is not None:  # one that is late
            return known.same_release(state)
        touched = why is Why.HINT and known.touched_by(state)
        if known == state and not touched:
            self._sites.rebase(site, known, state)
            return True
        return not touched and self._rolled_back(site, known, state)

    def _rolled_back(self, site: Site, known: State, state: State) -> bool:
        """After a failed swap: whether the link is back at the release that went on serving."""
        release = site.release
        if not isinstance(release, Release) or known.directory == release.state.directory:
            return False
        if not release.state.same_release(state):
            return False
        self._sites.settle(site, state)
        log.info("%s: back to %s, which went on serving", site.host, escape(state.directory))
        return True

    def _note(self, site: Site, known: State | None, state: State | None, why: Why) -> None:
        now = time.monotonic()
        swap = state is not None and known is not None and state.directory != known.directory
        pending = self._pending.get(site.key)
        if pending is None or (pending.own and why is Why.HINT):
            own = self._is_own(site, state, swap)
            pause = self._own_pause(site, state) if own and why is not Why.HINT else None
            if pending is None or not own:
                pending = Pending(site, now, now + (pause or self._settle), state, why, own)
                self._pending[site.key] = pending
        last = pending.first + _PATIENCE * self._settle
        if pending.asked:
            pending.asked = False
            pending.due = min(now + self._restless(pending.seen, state), max(last, now))
        if not swap and _lost_environment(site, state):
            pending.due = max(pending.due, pending.first + _NO_ENVIRONMENT)
        pending.seen = state
        if pending.due <= now or (swap and pending.why is not Why.SWEEP):
            self._take(pending)

    def _is_own(self, site: Site, state: State | None, swap: bool) -> bool:
        """Whether the newest change was made while the site was being loaded last."""
        if not swap and _changed_during(site.took, state):
            return True
        site.own_changes = 0
        return False

    def _own_pause(self, site: Site, state: State | None) -> float:
        """Return the seconds to wait with a change that a load seems to have made itself.

        An application whose import writes below its wsgi directory would reload for ever.
        """
        site.own_changes += 1
        if (
            site.own_changes == _OWN_CHANGES
            and state is not None
            and isinstance(state.version, Version)
        ):
            log.warning(
                "%s: VAN014: %s below %s changed during each of the last loads; it is reloaded ever"
                " later from now on: if loading it writes that file, have it written elsewhere, or"
                " add its name to watch_ignore",
                site.host,
                escape(state.version.latest),
                self._loader.wsgi(site.path),
            )
        least, most = max(self._settle, _OWN_PAUSES[0]), _OWN_PAUSES[1]
        return min(least * 2.0 ** min(site.own_changes - 1, 20), most)

    def _restless(self, seen: State | None, state: State | None) -> float:
        """Return the seconds for which ``state`` must still be left alone.

        A file that is being written sends no event before it is closed, but its ctime moves.
        """
        if state is not None and isinstance(state.version, Version):
            age = time.time() - state.version.changed / 1e9
            return self._settle - age if 0 <= age < self._settle else 0.0
        return 0.0 if state == seen else self._settle

    def _take(self, pending: Pending) -> None:
        site = pending.site
        self.drop(site)
        if pending.why is Why.SWEEP and not self._looks.polled(site):
            log.warning(
                "%s: VAN024: the sweep found a change in %s that no event announced; unless a file"
                ' there is still open for writing: if it recurs, set watch="polling" and report it',
                site.host,
                self._loader.wsgi(site.path),
            )
        if pending.seen is not None:
            self._taken.setdefault(site.key, site)
        elif site.attempt is None or site.attempt.late:
            log.info("%s: unloaded: %s is gone", site.host, self._loader.wsgi(site.path))
            site.own_changes = 0
            self.forget(site)
            self._attempts.mark_missing(site)

    def _complain(self, site: Site, error: HookFailed) -> None:
        """Say so once, and ask again later: what is not known now may be a change."""
        self.drop(site)
        now = time.monotonic()
        failing = self._failing.get(site.key)
        if failing is None or failing.text != str(error):
            if isinstance(site.release, Release):  # else the load that failed has said it
                log.error("%s; nothing is reloaded until it answers", error.of(site.host))
            failing = Failing(site, str(error), _RETRY[0], now + _RETRY[0])
            self._failing[site.key] = failing
        else:
            failing.pause = min(2 * failing.pause, _RETRY[1])
            failing.due = now + failing.pause


def _supersedes(attempt: Attempt, state: State | None) -> bool:
    """Whether a late attempt makes room for another one, when no event has asked for it just now.

    A change that the attempt may have made itself does not count: else every load of a hanging
    import would start the next one, and each would leave a thread. One exception: an event came
    while the attempt ran, and may have been an edit. That counts once.
    """
    if attempt.state is not None and state is not None:
        own = _changed_during((attempt.begun, time.time_ns()), state)
        if not own or state.directory != attempt.state.directory:
            return True
    return state is None or (attempt.hinted and not attempt.supersedes)


def _polled(attempt: Attempt, state: State | None) -> Why:
    """What a poll says while an attempt is under way: what is new to it counts as a hint."""
    before, attempt.seen = attempt.seen, state
    known = before is None or state is None or before.same_release(state)
    return Why.POLL if known else Why.HINT


def _changed_during(period: tuple[int, int], state: State | None) -> bool:
    """Whether the newest file is of that time, ns since the epoch."""
    version = state.version if state is not None else None
    return isinstance(version, Version) and period[0] - _TICK <= version.changed <= period[1]


def _lost_environment(site: Site, state: State | None) -> bool:
    """Whether the environment is gone where it stood, as while somebody makes it anew."""
    release = site.release
    return (
        isinstance(release, Release)
        and release.state.has_venv
        and state is not None
        and state.directory == release.state.directory
        and not state.has_venv
    )
