"""Finds the release that another name of the same directory has already, or is loading.

Called by the threads that load, while an attempt of theirs is under way.
"""

from __future__ import annotations

import time

from mod_wsgi_van.reload.loader import Loader, Prepared
from mod_wsgi_van.sites.release import Release
from mod_wsgi_van.sites.site import Attempt, Site
from mod_wsgi_van.sites.table import Sites


class Namesakes:
    """Keeps no state of its own."""

    def __init__(self, sites: Sites, loader: Loader) -> None:
        self._sites = sites
        self._loader = loader

    def find(self, attempt: Attempt, prepared: Prepared) -> Site | None:
        """Return another name of the same site, whose release is what would be loaded.

        Of several that are loading, the first one to begin loads, and the others wait for it.
        """
        site, state = attempt.site, prepared.state
        if state.place is None:
            return None
        for other in self._sites.meet(attempt, state.place):
            earlier = other.attempt
            if earlier is not None and 0 < earlier.met < attempt.met:
                _wait(attempt, earlier)
            if self._has(other, prepared) and other.release is not site.release:
                return other
        return None

    def _has(self, other: Site, prepared: Prepared) -> bool:
        """Whether a site's release is of the prepared's origin, and of what is there now."""
        known = other.state
        origin = other.release.origin if isinstance(other.release, Release) else None
        if known is None or origin != prepared.origin:
            return False
        try:
            return known.same_release(self._loader.measure(other.path))
        except Exception:  # a hook's, or it is gone
            return False


def _wait(attempt: Attempt, earlier: Attempt) -> None:
    """Wait for the earlier one, whose deadline moves where it ends a release before it loads."""
    while (left := max(attempt.deadline, earlier.deadline) - time.monotonic()) > 0:
        if earlier.done.wait(min(left, 1.0)):
            return
