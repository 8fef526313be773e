"""Makes and removes what belongs to a site: its home, its link, releases that nobody needs.

With the lock of the site held. What is below its home is done as its owner; ``prepare``,
``publish`` and ``withdraw`` touch the directory of all sites and are done as the caller.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.revisions import been_live, note, previous


def publish(home: Home) -> None:
    """Make the site's own link; raises DeployFailed where something else stands."""
    if obstacle := home.obstacle():
        raise DeployFailed(obstacle)
    if home.standing() == "nothing":
        os.symlink(home.link_text, home.link)


def withdraw(home: Home) -> None:
    """Take the site's own link away."""
    if home.standing() == "ours":
        home.link.unlink()


def discard(home: Home, id: str) -> None:
    """Remove a release: it stops being whole in one step."""
    home.record(id).unlink(missing_ok=True)
    if home.release(id).exists():
        gone = home.releases / f".{id}.gone"
        home.release(id).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def clean(home: Home) -> None:
    """Remove what a killed deploy has left.

    It has not noted a release that went live, where it was killed just then: that is made good.
    """
    whole, live = home.whole(), home.live()
    for path in home.releases.iterdir():
        id = path.name.removesuffix(".json")
        if id in whole or id == live:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for path in home.path.glob(".current.*"):
        path.unlink()
    shutil.rmtree(home.path / ".new", ignore_errors=True)
    if live and live not in been_live(home):
        note(home, "found", live, "")


def prune(home: Home, keep: int) -> list[str]:
    """Remove all but the newest ``keep``, the live one and the one before it; what is left."""
    whole = home.whole()
    kept = {*whole[-keep:], home.live(), previous(home)}
    for id in whole:
        if id not in kept:
            discard(home, id)
    return home.whole()


def prepare(home: Home, uid: int, gid: int) -> None:
    """Make what is missing of a site's home, which is then of this user; -1 for the caller."""
    try:
        home.path.parent.mkdir(mode=0o755, exist_ok=True)
        home.path.mkdir(mode=0o755)
    except FileExistsError:
        if home.path.lstat().st_uid or uid < 0:
            return
    except PermissionError as error:
        raise DeployFailed(
            f"{error.filename} cannot be made by this user: run it as root, or have root say whose"
            f" site it is: mkdir -p {home.path.parent} && install -d -o OWNER {home.path}"
        ) from error
    if uid >= 0:
        os.chown(home.path, uid, gid, follow_symlinks=False)


@contextmanager
def opened(home: Home) -> Iterator[int]:
    """A descriptor of ``releases`` itself: root must not be led elsewhere by its owner."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    top = os.open(home.path, flags)
    try:
        releases = os.open(home.releases.name, flags, dir_fd=top)
    finally:
        os.close(top)
    try:
        yield releases
    finally:
        os.close(releases)


def fill(home: Home) -> None:
    """Make what belongs below it, as its owner."""
    for path in (home.releases, home.shared):
        path.mkdir(exist_ok=True)


def share(home: Home, id: str) -> str:
    """Let each entry of shared/ take the place of the release's; returns their names.

    ``shared`` itself is a link too: there the daemon reads shared/.env.
    """
    release = home.release(id)
    names = sorted(os.listdir(home.shared))
    if "shared" in names:
        raise DeployFailed(f"{home.shared / 'shared'} has a name that cannot be shared: move it")
    for name in [*names, "shared"]:
        place = release / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        whole = home.shared if name == "shared" else home.shared / name
        place.symlink_to(os.path.relpath(whole, release))
    return ", ".join(names) or "nothing is shared"
