"""The table of sites: vhost directory -> site, and what each site answers with.

``Sites.lock`` guards the tables and the sites and attempts in them; nothing foreign is called while
it is held. A request reads ``site.answer`` without it: one reference, replaced by one assignment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from mod_wsgi_van.sites.names import Names
from mod_wsgi_van.sites.release import Answer, Place, Release, State
from mod_wsgi_van.sites.site import Attempt, Site

# How many vhosts of which no directory is known are remembered: each has watches and is polled
# where inotify is missing, and a client can name any number of them.
STRANGERS = 1024


class Sites:
    """The sites; see the module for who may do what."""

    def __init__(self, strangers: int = STRANGERS) -> None:
        self.lock = threading.Lock()
        self.closed = False  # nothing is installed any more
        self._asked = False
        self._most_strangers = strangers
        # Host header as the client wrote it -> site. A request reads it without the lock; it is
        # filled without it too, for losing an entry costs one look-up the slow way.
        self.memo: dict[object, Site] = {}
        self._sites: dict[Path, Site] = {}
        self._by_key: dict[str, Site] = {}
        self._strangers: dict[Path, Site] = {}  # oldest first
        self._names = Names()

    def __iter__(self) -> Iterator[Site]:
        with self.lock:
            return iter(list(self._sites.values()))

    def __len__(self) -> int:
        return len(self._sites)

    def site(self, host: str, path: Path) -> Site:
        """Return the site of a vhost's directory, a new one where there is none."""
        with self.lock:
            self._asked = True
            site = self._sites.get(path)
            if site is None:
                site = self._sites[path] = Site(host, path)
                self._by_key[site.key] = site
            return site

    def host(self, path: Path) -> str:
        """Return the name of the site at ``path``, "" where there is none."""
        site = self._sites.get(path)
        return site.host if site is not None else ""

    def remember(self, header: str, site: Site) -> None:
        """Let ``header`` lead to ``site`` without being parsed.

        Clients can write any number of them, so when there are many more than sites all go.
        """
        if len(self.memo) >= 2 * len(self._sites) + 256:
            self.memo = {}
        self.memo[header] = site

    def idle(self) -> bool:
        """Whether no request has come since this was called last.

        A request leaves no trace where ``memo`` knows its header. So the memo is emptied: from now
        on each host's next request takes the slow path, once.
        """
        self.memo = {}
        asked, self._asked = self._asked, False
        return not asked

    def by_key(self, key: str) -> Site | None:
        """Return the site that a watcher knows under ``key``."""
        return self._by_key.get(key)

    def begin(
        self, site: Site, timeout: float, *, reload: bool = False
    ) -> tuple[Attempt | None, bool]:
        """Begin to load ``site``: return the attempt to wait for, and whether it is the caller's.

        None when there is nothing to wait for: something to answer with is there already, or the
        site was evicted. With ``reload`` what is there does not count, nor does an attempt that is
        late: it is superseded, and what it brings in the end is dropped.
        """
        with self.lock:
            if self._sites.get(site.path) is not site:
                return None, False
            if site.release is not None and not reload:
                return None, False
            if site.attempt is not None and not (reload and site.attempt.late):
                return site.attempt, False
            if site.stranger:  # from here on it must not be evicted
                site.stranger = False
                del self._strangers[site.path]
            attempt = Attempt(site, timeout, first=not isinstance(site.release, Release))
            superseded, site.attempt = site.attempt, attempt
            if superseded is not None:
                superseded.end()  # who waits for it waits for the new one instead
            return attempt, True

    def give_up(self, attempt: Attempt) -> list[Site]:
        """End an attempt that could not begin, and return the sites evicted.

        The next request tries again; the site counts as a stranger where it has no release.
        """
        with self.lock:
            if attempt.site.attempt is attempt:
                self._end(attempt)
                if attempt.first:
                    return self._add_stranger(attempt.site)
            return []

    def install(self, attempt: Attempt, release: Release) -> tuple[bool, Release | None]:
        """Make ``release`` the current one; return whether it is, and the one it replaces."""
        with self.lock:
            site = attempt.site
            if site.attempt is not attempt:
                return False, None
            if self.closed:
                self._end(attempt)
                return False, None
            return True, self._put(attempt, release, release.state)

    def meet(self, attempt: Attempt, place: Place) -> list[Site]:
        """Note where the directory of an attempt's site is; return the other sites there."""
        with self.lock:
            return self._names.meet(attempt, place)

    def share(
        self, attempt: Attempt, other: Site, origin: object
    ) -> tuple[bool, Release | None] | None:
        """Make the release of ``other`` the current one here too; return as ``install`` does.

        None where ``other`` has no release of that origin, or the site has the same one already.
        """
        with self.lock:
            release, site, state = other.release, attempt.site, attempt.state
            if not isinstance(release, Release) or release.origin != origin or state is None:
                return None
            if site.release is release:
                return None
            if site.attempt is not attempt:
                return False, None
            if self.closed:
                self._end(attempt)
                return False, None
            self._names.share(release)
            return True, self._put(attempt, release, state)

    def _put(self, attempt: Attempt, release: Release, state: State) -> Release | None:
        """With the lock held; return the release that no site has any more."""
        site = attempt.site
        old, site.release = site.release, release
        site.state, site.files = state, ()
        site.tally.live()
        self._end(attempt)
        return self._names.let_go(old)

    def suspend(self, attempt: Attempt) -> tuple[bool, Release | None]:
        """Take the release from the attempt's site and from all its names: requests wait.

        Return whether the attempt is the current one, and the release.
        """
        with self.lock:
            site, old = attempt.site, attempt.site.release
            if site.attempt is not attempt or self.closed:
                return False, None
            if not isinstance(old, Release):
                return True, None
            site.release = None
            for other in self._names.others(site):
                if other.release is old:
                    other.release = None
            self._names.forget(old)
            return True, old

    def restore(self, attempt: Attempt, release: Release) -> bool:
        """Undo ``suspend`` with what was loaded in place of the old release; whether it counts."""
        with self.lock:
            site = attempt.site
            if site.attempt is not attempt or self.closed:
                return False
            site.release = release
            for other in self._names.others(site):
                if other.release is None and other.state is not None:
                    other.release, other.state = release, attempt.state
                    self._names.share(release)
            return True

    def fail(
        self, attempt: Attempt, answer: Answer, files: tuple[str, ...], state: State | None
    ) -> bool:
        """Note a failed attempt; ``answer`` is given where no older release goes on serving."""
        with self.lock:
            site = attempt.site
            if site.attempt is not attempt:
                return False
            if not self.closed:
                if not isinstance(site.release, Release):
                    site.release = answer
                site.state, site.files = state, files
            self._end(attempt)
            return not self.closed

    def mark_missing(
        self, site: Site, answer: Answer, attempt: Attempt | None = None
    ) -> tuple[Release | None, list[Site]] | None:
        """Remember that there is no such vhost; return its release and the sites evicted.

        Also where it cannot be told whether there is one: a client can name any number of those.
        ``attempt`` found it missing, if one did; None is returned when that was superseded.
        """
        with self.lock:
            if attempt is not None and site.attempt is not attempt:
                return None
            if self._sites.get(site.path) is not site:
                return None, []
            old, site.release = site.release, answer
            site.maintenance, site.marked = None, ()
            site.state, site.files = None, ()
            site.tally.failing = False
            self._names.leave(site)
            if site.attempt is not None:
                self._end(site.attempt)
            return self._names.let_go(old), self._add_stranger(site)

    def _add_stranger(self, site: Site) -> list[Site]:
        """With the lock held; return the sites evicted."""
        evicted = []
        site.stranger = True
        self._strangers[site.path] = site
        while len(self._strangers) > self._most_strangers:
            other = self._strangers.pop(next(iter(self._strangers)))
            del self._sites[other.path]
            del self._by_key[other.key]
            other.release = None
            self._names.leave(other)
            evicted.append(other)
        return evicted

    def maintain(self, site: Site, answer: Answer | None) -> bool:
        """Have a site answer with that and not with its release, or None again; whether it does.

        Requests that wait for a load need not wait for its end in maintenance.
        """
        with self.lock:
            if site.stranger or self._sites.get(site.path) is not site:
                return False
            site.maintenance = answer
            if site.attempt is not None:
                answered = site.attempt.answered
                answered.clear() if answer is None else answered.set()
            return True

    def reset(self, site: Site) -> None:
        """Let the next request load the site: there was nothing to serve, and there is now."""
        with self.lock:
            if not isinstance(site.release, Release):  # a request may have loaded it by now
                site.release = None

    def _end(self, attempt: Attempt) -> None:
        site = attempt.site
        site.attempt = None
        site.attempts += 1
        site.took = (attempt.begun, time.time_ns())
        attempt.end()

    def close(self) -> list[tuple[Site, Release]]:
        """Install nothing any more; return every current release with its site."""
        with self.lock:
            self.closed = True
            found = {
                site.release: site
                for site in self._sites.values()
                if isinstance(site.release, Release)
            }
            return [(site, release) for release, site in found.items()]

    def rebase(self, site: Site, compared: State, state: State) -> None:
        """Replace the state to compare with by a newer one that was found equal to it."""
        with self.lock:
            if site.state is compared:
                site.state = state

    def settle(self, site: Site, state: State) -> None:
        """After a failed attempt: what is there now is the release that went on serving."""
        with self.lock:
            if site.attempt is None:
                site.state, site.files = state, ()
                site.tally.failing = False

    def after_fork(self) -> None:
        """In a forked child, before any thread of its own: no attempt goes on, no lock is held.

        The tables are made anew: a thread of the parent may have been writing to them. A worker
        process is the parent's, so a release that has one is loaded again.
        """
        self.lock = threading.Lock()
        self.memo = {}  # the next request of each host takes the slow way, which starts the threads
        sites = self._sites.values()
        for site in sites:
            site.attempt = None
            if isinstance(site.release, Release) and site.release.isolation == "process":
                site.release = None
        self._by_key = {site.key: site for site in sites}
        self._strangers = {site.path: site for site in sites if site.stranger}
        self._names.restore(sites)
