"""What lies where in a site that is deployed, and which of its releases is live.

    BASE/SITE -> .sites/SITE/current        no Host leads to a name that begins with a dot
    BASE/.sites/SITE/current -> releases/ID
    BASE/.sites/SITE/releases/ID/           one release, and ID.json when it is whole
    BASE/.sites/SITE/environments/HASH/     what the .venv of releases leads to
    BASE/.sites/SITE/shared/                what outlives releases, such as .env
    BASE/.sites/SITE/revisions.log          a line for each change of what is live

A site is live by two links, and a change of what is live renames one: ``current``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from mod_wsgi_van.files.target import SITES


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one site; ``base`` is absolute. Nothing of it need exist."""

    base: Path
    site: str

    @property
    def path(self) -> Path:
        return self.base / SITES / self.site

    @property
    def link(self) -> Path:
        """What the router serves."""
        return self.base / self.site

    @property
    def link_text(self) -> str:
        return f"{SITES}/{self.site}/current"

    @property
    def current(self) -> Path:
        return self.path / "current"

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    @property
    def environments(self) -> Path:
        return self.path / "environments"

    @property
    def shared(self) -> Path:
        return self.path / "shared"

    @property
    def revisions(self) -> Path:
        return self.path / "revisions.log"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def release(self, id: str) -> Path:
        return self.releases / id

    def record(self, id: str) -> Path:
        """Written when the release is whole: what it was made from."""
        return self.releases / f"{id}.json"

    def whole(self) -> list[str]:
        """The IDs of the releases that are whole, the oldest first."""
        with contextlib.suppress(FileNotFoundError):
            found = (each.stem for each in self.releases.glob("[!.]*.json"))
            return sorted(id for id in found if self.release(id).is_dir())
        return []

    def live(self) -> str:
        """The ID that ``current`` leads to, "" where there is none."""
        with contextlib.suppress(OSError):
            directory, _, id = os.readlink(self.current).partition("/")
            return id if directory == self.releases.name and self.release(id).is_dir() else ""
        return ""

    def standing(self) -> str:
        """What stands at ``link``: nothing, ours, link (another one), directory or file."""
        if self.link.is_symlink():
            return "ours" if os.readlink(self.link) == self.link_text else "link"
        if self.link.is_dir():
            return "directory"
        return "file" if self.link.exists() else "nothing"

    def obstacle(self) -> str:
        """Why nothing can go live at ``link``, and how to adopt what stands there; else ""."""
        standing = self.standing()
        if standing in ("nothing", "ours"):
            return ""
        if standing == "file":
            return f"{self.link} is a file: remove it"
        what = f"{self.link} is a directory"
        if standing == "link":
            what = f"{self.link} leads to {os.readlink(self.link)}, which no deploy has made"
        aside = self.base / SITES / f"{self.site}.before"
        return (
            f"{what}; to adopt the site: deploy it with --no-activate, then mv -T {self.link}"
            f" {aside}, and at once mod-wsgi-van activate {self.site} ID"
        )


def point(link: Path, text: str) -> None:
    """Make a symlink, or exchange the one that is there, in one step."""
    made = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    os.symlink(text, made)
    try:
        os.replace(made, link)
    except BaseException:
        made.unlink()
        raise
