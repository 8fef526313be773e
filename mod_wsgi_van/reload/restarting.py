"""Deploys that end the old release before the new one is loaded, for sites that can be only once.

Called by the threads that load, while an attempt of theirs is under way. Requests wait for that
attempt from the moment on at which the site has no release.
"""

from __future__ import annotations

import logging
import time

from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.lines import escape
from mod_wsgi_van.reload.loader import Outcome, Prepared
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.reload.retiring import end, retire
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.site import Attempt, Site

log = logging.getLogger(__name__)

_KILL = 5.0  # seconds more for what takes longer than it may


def restarts(prepared: Prepared | None) -> bool:
    return prepared is not None and prepared.settings.reload == "restart"


class Restarts:
    """Keeps no state of its own."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._sites = parts.sites
        self._loader = parts.loader
        self._retiring = parts.retiring
        self._timeout = settings.load_timeout
        self._grace = settings.grace_period
        self._end = 2 * settings.shutdown_timeout + _KILL

    def make_room(self, attempt: Attempt) -> None:
        """End the release of the attempt's site, after its requests.

        Raises LoadError where another attempt is to do that.
        """
        site = attempt.site
        current, old = self._sites.suspend(attempt)
        if not current:
            raise LoadError(f"{site.host}: a newer attempt loads it")
        if old is None:
            return
        attempt.ended, instance = old.prepared, old.instance
        attempt.deadline = time.monotonic() + self._grace + self._end + self._timeout
        retirement = self._retiring.announce(site, old)
        del old
        retirement.done.wait(self._grace + self._end)
        if not instance.ended(self._end):
            log.warning("%s: VAN010: the old release has not ended in %g s", site.host, self._end)
        attempt.deadline = time.monotonic() + self._timeout

    def drop(self, site: Site, outcome: Outcome) -> None:
        """End a release that did not go live, so that another one can be loaded."""
        end(site, outcome.instance, self._end)

    def bring_back(self, attempt: Attempt, failed: Prepared) -> str:
        """Load the release again that had to end, and say what came of that."""
        ended = attempt.ended
        assert isinstance(ended, Prepared)
        directory = escape(ended.state.directory)
        if ended.origin == failed.origin:
            return f"its old release is gone: what stood in {directory} was changed in place"
        attempt.deadline = time.monotonic() + self._timeout
        try:
            outcome = self._loader.load(ended)
        except LoadError as error:
            return f"the release from {directory} could not be started again: {error}"
        if not self._sites.restore(attempt, outcome.release()):
            retire(attempt.site, outcome.instance)
        return f"the release from {directory} was started again"
