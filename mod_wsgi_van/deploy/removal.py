"""Removes a site that was deployed: its link first, its files when no daemon process has it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mod_wsgi_van.deploy import upkeep
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.lock import locked
from mod_wsgi_van.deploy.reports import await_gone
from mod_wsgi_van.deploy.switching import Subject


def obstacle(home: Home) -> str:
    """Why a site cannot be removed, "" where it can."""
    standing = home.standing()
    if standing in ("nothing", "ours"):
        return "" if home.path.is_dir() else f"there is no site {home.site} in {home.base}"
    return (
        f"{home.link} is a {standing} that no deploy has made: remove it yourself, and the site is"
        " gone; requests under way come to their end"
    )


def finish(home: Home) -> bool:
    """Remove what a removal has left that was killed; whether there was something."""
    gone = _gone(home)
    found = gone.exists()
    shutil.rmtree(gone, ignore_errors=True)
    return found


def _gone(home: Home) -> Path:
    return home.path.with_name(f".{home.site}.gone")


def remove(of: Subject, keep_shared: bool, say: Callable[[str], None]) -> None:
    """Remove it all, or all but what is in ``shared``; after ``finish``. Raises DeployFailed.

    Where that is killed, or a daemon process does not let go, it can be done again.
    """
    home = of.home
    with locked(home):
        if found := obstacle(home):
            raise DeployFailed(found)
        before = time.monotonic()
        upkeep.withdraw(home)
        say(f"{home.link} is gone: requests get 404")
        said = await_gone(of.ask, of.settings.grace_period)
        say(f"let go after {time.monotonic() - before:.2f} s: {said}")
        if keep_shared:
            of.as_owner(lambda: _empty(home))
            say(f"removed the releases; {home.shared} is kept")
            return
        home.path.rename(_gone(home))
        shutil.rmtree(_gone(home))
        say(f"removed {home.path}")


def _empty(home: Home) -> None:
    """Remove what is not shared, what says that releases are whole first."""
    for record in home.releases.glob("*.json"):
        record.unlink()
    for path in home.path.iterdir():
        if path in (home.shared, home.lock):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
