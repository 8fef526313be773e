"""Runs the attempts to load a vhost, each in a thread of its own, and says how they ended.

``van-load-HOST``: arm the watches, measure, load, measure again; what was measured is installed
only if it is what is still there. An attempt is begun in the table of sites first (one at a time
for each site), so what happens here to a site happens in one thread.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass, replace

from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.version import Version, points
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.lines import escape, marked
from mod_wsgi_van.reload import saying
from mod_wsgi_van.reload.loader import Missing, Outcome, Prepared
from mod_wsgi_van.reload.mailbox import Ended, Wake
from mod_wsgi_van.reload.namesakes import Namesakes
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.reload.restarting import Restarts, restarts
from mod_wsgi_van.reload.retiring import retire
from mod_wsgi_van.reload.trial import check
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.release import Answer, Release, State
from mod_wsgi_van.sites.site import Attempt, Site

log = logging.getLogger(__name__)

# ns between two values of the clock that the kernel takes a file's times from
_CLOCK_REALTIME_COARSE = 5
_TICK = round(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9) if sys.platform == "linux" else 10**7
_MOVES = 5  # that often a site is loaded again at once when it leads elsewhere by then
# And so often when its source has changed. What an import writes beside it is seldom Python's, and
# counts as several edits: loading it again changes nothing.
_EDITS = 8
_NO_SOURCE = 4
# First loads under way at a time. Each has a thread, and a client can name any number of hosts;
# where the file system does not answer none of them ends.
MOST_FIRST = 256
_LEAST_CHECK = 1.0  # seconds for the check of a release whose import took nearly load_timeout
_NOT_LATE = 0.1  # seconds before load_timeout is over: that a check has failed says enough
_SECRET = 4  # characters: what is shorter says nothing, and is in every text
_SAY_AGAIN = 60.0  # seconds until it is said again that hosts cannot be reached


@dataclass(frozen=True)
class Answers:
    """What the router answers where there is no application."""

    not_found: Answer
    failed: Answer
    maintenance: Answer


class Attempts:
    """Starts attempts and ends them; called from request threads and by the reload thread."""

    def __init__(self, parts: Parts, answers: Answers, settings: Settings) -> None:
        self._sites = parts.sites
        self._loader = parts.loader
        self._watcher = parts.watcher
        self._mailbox = parts.mailbox
        self._retiring = parts.retiring
        self._maintenance = parts.maintenance
        self._namesakes = Namesakes(parts.sites, parts.loader)
        self._answers = answers
        self._restarts = Restarts(parts, settings)
        self._timeout = settings.load_timeout
        # What hosts cannot be reached for, and when that is said again; monotonic.
        self._unreachable: dict[tuple[str, int | None], float] = {}
        self.running: set[Attempt] = set()  # added to and discarded from atomically, read as a copy
        # Whether the reload thread waits until fewer are running; set before it counts them.
        self.awaited = False

    def first(self, site: Site) -> Attempt | None:
        """Load a site that has nothing to answer with; return the attempt to wait for.

        None: look at the site again, and where it was evicted at its successor. Raises RuntimeError
        when there is no room for another thread.
        """
        attempt, mine = self._sites.begin(site, self._timeout)
        if attempt is not None and mine:
            try:
                if sum(each.first for each in self.running.copy()) >= MOST_FIRST:
                    raise RuntimeError(f"{MOST_FIRST} first loads are under way")
                self._start(attempt)
            except RuntimeError:
                self._remove(self._sites.give_up(attempt))
                raise
        return attempt

    def again(self, site: Site) -> bool:
        """Load a site anew, beside what it answers with; False when no thread is to be had."""
        attempt, mine = self._sites.begin(site, self._timeout, reload=True)
        if attempt is not None and mine:
            try:
                self._start(attempt)
            except RuntimeError:
                self._sites.give_up(attempt)
                return False
        return True

    def mark_missing(self, site: Site, attempt: Attempt | None = None) -> None:
        """Remember that there is no such vhost; its watches tell of the day there is."""
        marked = self._sites.mark_missing(site, self._answers.not_found, attempt)
        if marked is not None:
            old, evicted = marked
            self._remove(evicted)
            if old is not None:
                self._retiring.announce(site, old)

    def late(self) -> None:
        """A first load is late; from the request that waited for it."""
        self._mailbox.put(Wake())

    def drain(self, timeout: float) -> None:
        """At shutdown: let first loads end that requests wait for, ``timeout`` seconds at most."""
        deadline = time.monotonic() + timeout
        for attempt in self.running.copy():
            if attempt.first:
                attempt.done.wait(max(0.0, deadline - time.monotonic()))

    def _remove(self, evicted: list[Site]) -> None:
        for site in evicted:
            self._watcher.remove(site.key)

    def _start(self, attempt: Attempt) -> None:
        self.running.add(attempt)
        name = f"van-load-{attempt.site.host}"
        thread = threading.Thread(target=self._run, args=(attempt,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self.running.discard(attempt)
            raise
        if not attempt.first:
            self._mailbox.put(Wake())  # it may be late one day; who waits for a first one says so

    def _run(self, attempt: Attempt) -> None:
        site = attempt.site
        hurry.begin(attempt)
        try:
            self._attempt(attempt)
        except BaseException:  # a defect of ours: say so, and leave nobody waiting
            text = "%s: VAN009: loading failed in an unexpected way\n%s"
            log.error(text, site.host, marked(site.host, traceback.format_exc()))
            self._sites.fail(attempt, self._answers.failed, site.files, attempt.state)
        finally:
            hurry.end(attempt)
            self.running.discard(attempt)
        # First loads of hosts that are not there are many, and mostly nothing to the reload thread.
        tells = attempt.hinted or self.awaited or not attempt.first
        if tells or self._watcher.polled():  # there may be something to poll now
            self._mailbox.put(Ended(attempt))

    def _attempt(self, attempt: Attempt) -> None:
        """Load until what was loaded is what is there, a bounded number of times; then install."""
        site = attempt.site
        moves, edits = _MOVES, 0 if site.own_changes else _EDITS
        if attempt.first and self._is_not_there(site):
            self.mark_missing(site, attempt)  # no hook is asked about what a client made up
            return
        while True:
            target = self._loader.target(site.path, site.files)
            self._watcher.arm(site.key, target)
            self._maintenance.look(site, target.beside)
            if site.key in self._watcher.polled():
                self._mailbox.put(Wake())  # maintenance may begin before the load has ended
            attempt.state = prepared = None
            try:
                attempt.state = self._settled(site)
                prepared = self._loader.prepare(site, attempt.state)
                loaded: Outcome | Site | LoadError = self._namesakes.find(
                    attempt, prepared
                ) or self._load(attempt, prepared)
            except Missing:
                self.mark_missing(site, attempt)
                return
            except LoadError as error:
                loaded = error
            try:
                after = self._measured_again(attempt)
            except Missing:
                self._drop(attempt, loaded)
                self.mark_missing(site, attempt)
                return
            if after is not None and moves and _moved(attempt.state, after):
                moves -= 1
            elif after is not None and edits and _edited(attempt.state, after):
                edits = max(0, edits - _weight(after))
            else:
                break
            self._drop(attempt, loaded)
        if isinstance(loaded, Outcome):
            self._loaded(attempt, loaded, after)
        elif isinstance(loaded, LoadError):
            self._failed(attempt, loaded, prepared)
        elif prepared and not self._shared(attempt, loaded, prepared, after):
            self._attempt(attempt)  # the other one has another release by now

    def _load(self, attempt: Attempt, prepared: Prepared) -> Outcome:
        """Load, and check what was loaded."""
        if restarts(prepared):
            self._restarts.make_room(attempt)
        outcome = self._loader.load(prepared)
        path = prepared.settings.check
        if path:
            try:
                left = max(_LEAST_CHECK, attempt.deadline - time.monotonic() - _NOT_LATE)
                check(prepared.source, outcome.instance.application, path, left)
            except LoadError:
                self._drop(attempt, outcome)
                raise
        return outcome

    def _is_not_there(self, site: Site) -> bool:
        """Whether there is no such directory; then the day on which there is one is watched for."""
        if self._loader.exists(site.path) is not False:
            return False
        self._watcher.arm(site.key, self._loader.way(site.path))
        return self._loader.exists(site.path) is False

    def _settled(self, site: Site) -> State:
        """Measure; where a file has just changed, once the kernel's coarse clock has moved on.

        Another change within the same tick would have the same times, and never be noticed.
        """
        state = self._loader.measure(site.path)
        if isinstance(state.version, Version):
            age = time.time_ns() - state.version.changed
            if 0 <= age < _TICK:
                time.sleep((_TICK - age) / 1e9)
                state = self._loader.measure(site.path)
        return state

    def _measured_again(self, attempt: Attempt) -> State | None:
        """Measure after a load; None where that cannot be compared with what was before it."""
        if attempt.state is None or attempt.site.attempt is not attempt:
            return None
        try:
            after = self._loader.measure(attempt.site.path)
            attempt.state.same_release(after)
            return after
        except Missing:
            raise
        except Exception:  # a version of a hook's that cannot be compared, or the hook's own error
            return None

    def _drop(self, attempt: Attempt, loaded: Outcome | Site | LoadError) -> None:
        if isinstance(loaded, Outcome) and restarts(loaded.prepared):
            self._restarts.drop(attempt.site, loaded)
        elif isinstance(loaded, Outcome):
            retire(attempt.site, loaded.instance)

    def _loaded(self, attempt: Attempt, outcome: Outcome, after: State | None) -> None:
        site, prepared = attempt.site, outcome.prepared
        state, had_files = prepared.state, bool(site.files)
        current, old = self._sites.install(attempt, outcome.release())
        if not current:
            log.info("%s: dropped %s, loaded too late", site.host, escape(state.directory))
            retire(site, outcome.instance)
            attempt.hinted = True  # a newer attempt's watches may have been replaced
            return
        took = (time.monotonic() - attempt.started) * 1000
        before, moved = None, False
        if isinstance(ended := attempt.ended, Prepared):
            before, moved = ended.state, ended.choice.isolation != prepared.choice.isolation
        if old is not None:  # first: whatever goes wrong from here on, it is retired
            before, moved = old.state, old.isolation != prepared.choice.isolation
            self._retiring.announce(site, old)
            del old
        site.tally.loaded(took / 1000, again=before is not None)
        done = "restarted" if attempt.ended is not None else "reloaded"
        saying.loaded(site.host, outcome, before, took, done)
        if prepared.capped != site.capped:
            site.capped = prepared.capped
            saying.capped(site.host, prepared.capped)
        if moved:
            saying.moved(site.host, prepared.choice)
        self._follow_up(attempt, state, after, had_files=had_files)

    def _shared(
        self, attempt: Attempt, other: Site, prepared: Prepared, after: State | None
    ) -> bool:
        """Give the site the release of another one; return whether that still has it."""
        site, had_files = attempt.site, bool(attempt.site.files)
        found = self._sites.share(attempt, other, prepared.origin)
        if found is None:
            return False
        current, old = found
        if not current:
            attempt.hinted = True
            return True
        if old is not None:
            self._retiring.announce(site, old)
            del old, found
        saying.shared(site.host, other.host, prepared.state)
        self._follow_up(attempt, prepared.state, after, had_files=had_files)
        return True

    def _follow_up(
        self, attempt: Attempt, state: State, after: State | None, *, had_files: bool
    ) -> None:
        """A release has gone live: note what changed since it was measured."""
        site = attempt.site
        if after is not None and state.same_release(after):
            self._sites.rebase(site, state, after)
        elif after is not None:
            attempt.hinted = True
        if had_files:  # those of the failed attempt before it are of no interest any more
            self._watcher.arm(site.key, self._loader.target(site.path))

    def _failed(self, attempt: Attempt, error: LoadError, prepared: Prepared | None) -> None:
        site, state = attempt.site, attempt.state
        stranger = attempt.first and state is None and self._loader.exists(site.path) is None
        if error.files and not stranger:
            self._watcher.arm(site.key, self._loader.target(site.path, error.files))
            if state is not None:
                state = replace(state, further=points(error.files))
        # Said before requests are answered: who sees the answer finds the reason in the log.
        back = ""
        if prepared is not None and attempt.ended is not None and site.attempt is attempt:
            back = self._restarts.bring_back(attempt, prepared)
        if site.attempt is attempt and not (stranger and self._said(error)):
            again = isinstance(site.release, Release) or attempt.ended is not None
            site.tally.failed(error.code, _told(error, prepared), again=again)
            beside = not restarts(prepared)
            saying.failed(site, error, self._loader.wsgi(site.path), back=back, beside=beside)
        if stranger:
            marked = self._sites.mark_missing(site, self._answers.failed, attempt)
            self._remove(marked[1] if marked is not None else [])
        elif not self._sites.fail(attempt, self._answers.failed, error.files, state):
            attempt.hinted = True

    def _said(self, error: LoadError) -> bool:
        """Whether it was said of another host just now: a client can name any number of those."""
        cause, now = error.__cause__, time.monotonic()
        kind = error.code, cause.errno if isinstance(cause, OSError) else None
        if now < self._unreachable.get(kind, 0.0):
            return True
        self._unreachable[kind] = now + _SAY_AGAIN
        return False


def _told(error: LoadError, prepared: Prepared | None) -> str:
    """The text of an error, without what the site's environment says."""
    text = str(error).removeprefix(f"{error.code}: ")
    env = prepared.settings.env if prepared is not None else {}
    for secret in sorted({*env, *env.values()}, key=len, reverse=True):
        if len(secret) >= _SECRET:
            text = text.replace(secret, "***")
    return text


def _moved(before: State | None, after: State) -> bool:
    """Whether the site leads elsewhere, or to another directory of the same path."""
    return before is not None and not before.same_directory(after)


def _weight(state: State) -> int:
    latest = getattr(state.version, "latest", "")
    return 1 if latest.endswith(".py") else _NO_SOURCE


def _edited(before: State | None, after: State) -> bool:
    return before is not None and before.version != after.version
