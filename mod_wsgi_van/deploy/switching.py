"""Makes a release live, waits until the daemon has it, and goes back where that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mod_wsgi_van.deploy import revisions, upkeep
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home, point
from mod_wsgi_van.deploy.reports import Said, await_live
from mod_wsgi_van.deploy.user import Users, as_user
from mod_wsgi_van.settings import Settings

T = TypeVar("T")

_NOTICES = 15.0  # seconds until a daemon process has seen the link change


@dataclass(frozen=True, slots=True)
class Subject:
    """The site that is changed; ``ask`` asks the daemon processes about it."""

    home: Home
    settings: Settings
    users: Users
    ask: Callable[[], Said]

    def as_owner(self, call: Callable[[], T]) -> T:
        """Do what touches its files; see user.as_user."""
        found: T = as_user(self.users.files, call) if self.users.files else call()
        return found

    def switch(self, id: str, what: str) -> str:
        """Make a release live; raises DeployFailed when it was not, and the one before is again.

        Returns what the daemon processes say. With the lock held.
        """
        home, settings = self.home, self.settings
        if obstacle := home.obstacle():
            raise DeployFailed(obstacle)
        before, since = home.live(), time.time()
        limit = settings.load_timeout + settings.grace_period + _NOTICES
        try:
            self.as_owner(lambda: _switch(home, id, what))
            upkeep.publish(home)
            return await_live(self.ask, home.release(id), since, limit)
        except BaseException as error:
            self._go_back(before, id)
            if not isinstance(error, DeployFailed):
                raise
            first, newline, log = str(error).partition("\n")
            now = f"{before} is live again" if before else "nothing is live"
            raise DeployFailed(f"{first}; {now}{newline}{log}") from error

    def _go_back(self, before: str, id: str) -> None:
        home = self.home
        if before:
            self.as_owner(lambda: _switch(home, before, "back"))
        else:
            upkeep.withdraw(home)
            self.as_owner(lambda: home.current.unlink(missing_ok=True))


def _switch(home: Home, id: str, what: str) -> None:
    """Rename one link; noted after that, for a killed deploy says what is live by the link."""
    before = home.live()
    point(home.current, f"{home.releases.name}/{id}")
    revisions.note(home, what, id, before)
