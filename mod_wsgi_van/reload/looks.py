"""Looks at sites: has ``van-files`` arm what is watched, measure what is there, and write a letter.

First armed, then measured: whatever changes after that is reported, so nothing is missed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mod_wsgi_van.errors import HookFailed
from mod_wsgi_van.files.chain import identify
from mod_wsgi_van.files.version import Version
from mod_wsgi_van.reload.errands import Errand, Errands
from mod_wsgi_van.reload.loader import Missing
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.sites.release import State
from mod_wsgi_van.sites.site import Site


class Why(enum.IntEnum):
    """Why a site is looked at; of two reasons the larger one counts."""

    SWEEP = 1  # it is its turn
    POLL = 2  # it is its turn, and no event would tell
    AGAIN = 3  # an attempt has ended, or is late, or it is time to look again
    HINT = 4  # the watcher reported it


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a look found. ``attempts``: that had ended when it began; a later one makes it void."""

    site: Site
    why: Why
    attempts: int
    state: State | None = None  # None: there is no such vhost
    error: HookFailed | None = None


@dataclass(frozen=True, slots=True)
class Glimpsed:
    """Where the wsgi directory leads, "" for nowhere."""

    site: Site
    directory: str


class Looks:
    """Orders looks and keeps them to one at a time for each site. Called by the reload thread."""

    def __init__(self, parts: Parts, errands: Errands) -> None:
        self._sites = parts.sites
        self._loader = parts.loader
        self._watcher = parts.watcher
        self._maintenance = parts.maintenance
        self._errands = errands
        self._ordered: dict[str, Why | None] = {}  # None: a glimpse
        self._again: dict[str, tuple[Site, Why]] = {}

    def order(self, site: Site, why: Why) -> None:
        """Look at a site; once more when it is being looked at."""
        if self._ordered.get(site.key) is not None or self._errands.absent(site):
            known = self._again.get(site.key)
            self._again[site.key] = site, max(why, known[1]) if known else why
            return
        self._ordered[site.key] = why
        self._errands.put(Errand(iter([site]), lambda site: self._look(site, why)))

    def glimpse(self, site: Site) -> None:
        """See where a site leads, which costs little however many files it has."""
        if site.key not in self._ordered and not self._errands.absent(site):
            self._ordered[site.key] = None
            self._errands.put(Errand(iter([site]), self._glimpse))

    def arrived(self, site: Site) -> None:
        """A letter about ``site`` has come: order what was left to its arrival."""
        self._ordered.pop(site.key, None)
        if not self._errands.absent(site):
            self.resume(site)

    def resume(self, site: Site) -> None:
        """Order what had to wait."""
        again = self._again.pop(site.key, None)
        if again is not None:
            self.order(*again)

    def forget(self, site: Site) -> None:
        """A site was evicted, or has nothing to serve."""
        self._again.pop(site.key, None)

    def polled(self, site: Site) -> bool:
        """Whether changes of ``site`` are found by polling, so that no event may tell of one."""
        return site.key in self._watcher.polled()

    def _look(self, site: Site, why: Why) -> Seen:
        attempts = site.attempts
        try:
            if site.stranger:
                target = self._loader.way(site.path)
            else:
                target = self._loader.target(site.path, site.files)
            self._watcher.arm(site.key, target)
            self._maintenance.look(site, target.beside)
            if self._sites.by_key(site.key) is not site:  # evicted, maybe while it was armed
                self._watcher.remove(site.key)
            if site.stranger:
                if self._loader.exists(site.path) is not True:
                    return Seen(site, why, attempts)
                return Seen(site, why, attempts, State(None, ""))
            state = self._loader.measure(site.path, site.files)
        except Missing:
            return Seen(site, why, attempts)
        except HookFailed as error:
            return Seen(site, why, attempts, error=error)
        except BaseException as error:  # without a letter the site would never be looked at again
            failed = HookFailed(f"looking at {site.path} raised {error!r}")
            return Seen(site, why, attempts, error=failed)
        return Seen(site, why, attempts, state)

    def _glimpse(self, site: Site) -> Glimpsed:
        self._maintenance.look(site)
        return Glimpsed(site, self._loader.leads_to(site.path))

    # The work of a walk; in van-files.

    def poll(self, site: Site) -> Seen | None:
        """Look at a site where one ``stat`` through the links shows a swap or a touch."""
        if self._errands.absent(site):
            return None
        self._maintenance.look(site)
        known = site.state.identity if site.state is not None else None
        if identify(self._loader.wsgi(site.path)) == known:
            return None
        return self._look(site, Why.POLL)

    def measure(self, why: Why, site: Site) -> Seen | None:
        """Look at a site for what no event announced; a letter only where there is something.

        A touch alone does not count: an ignored file that came and went looks the same.
        """
        known = site.state
        if self._errands.absent(site):
            return None
        self._maintenance.look(site)
        if site.release is None and site.attempt is None:
            return None
        if known is None or not isinstance(known.version, Version):
            return self._look(site, why)
        attempts = site.attempts
        try:
            state = self._loader.measure(site.path, site.files)
        except Missing:
            return Seen(site, why, attempts)
        except HookFailed as error:
            return Seen(site, why, attempts, error=error)
        version = state.version
        if isinstance(version, Version) and known.version.same_code(version):
            return None
        return Seen(site, why, attempts, state)
