"""Names of one directory: each is a site of its own, and all have one release.

``Sites.lock`` guards all of it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection

from mod_wsgi_van.sites.release import Answer, Place, Release
from mod_wsgi_van.sites.site import Attempt, Site

_meetings = itertools.count(1)


class Names:
    """Which sites have the same directory, and how many of them a release that is shared."""

    def __init__(self) -> None:
        self._places: dict[Place, set[Site]] = {}
        self._holders: dict[Release, int] = {}  # more than one

    def restore(self, sites: Collection[Site]) -> None:
        """Note anew what the sites say, of which another thread may just have been writing."""
        self._places = {}
        for site in sites:
            if site.place is not None:
                self._places.setdefault(site.place, set()).add(site)
        having = Counter(site.release for site in sites if isinstance(site.release, Release))
        self._holders = {release: count for release, count in having.items() if count > 1}

    def meet(self, attempt: Attempt, place: Place) -> list[Site]:
        """Note where the directory of an attempt's site is; return the other sites there."""
        site = attempt.site
        attempt.met = attempt.met or next(_meetings)
        self.leave(site)
        site.place = place
        there = self._places.setdefault(place, set())
        others = sorted(there, key=lambda other: other.key)
        there.add(site)
        return others

    def others(self, site: Site) -> set[Site]:
        """The other sites at the directory of ``site``."""
        return self._places.get(site.place, set()) - {site} if site.place is not None else set()

    def leave(self, site: Site) -> None:
        """Forget where the directory of ``site`` is."""
        if site.place is not None:
            there = self._places[site.place]
            there.discard(site)
            if not there:
                del self._places[site.place]
            site.place = None

    def share(self, release: Release) -> None:
        """One more site has a release."""
        self._holders[release] = self._holders.get(release, 1) + 1

    def forget(self, release: Release) -> None:
        """No site has it any more."""
        self._holders.pop(release, None)

    def let_go(self, release: Release | Answer | None) -> Release | None:
        """A site has it no more; return the release where no other site has it either."""
        if not isinstance(release, Release):
            return None
        left = self._holders.pop(release, 1) - 1
        if left > 1:
            self._holders[release] = left
        return None if left else release
