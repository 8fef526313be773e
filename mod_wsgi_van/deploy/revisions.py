"""Which releases a site has had, which one is live, and how that changes.

What runs here runs as the owner of the site, with its lock held.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.lock import holder
from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.reading import read

_SIZE = 16 << 20  # bytes of a file; its owner is not trusted


def new_id(home: Home) -> str:
    """The time, so that their order is that of their names."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    last = max([*home.whole(), home.live()])
    if stamp > last:
        return stamp
    first, _, number = last.partition(".")
    return f"{first}.{int(number or 0) + 1:03}"


def record(home: Home, id: str, about: dict[str, Any]) -> None:
    """Say that a release is whole."""
    made = home.releases / f".{id}.json"
    with made.open("w") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())
    made.replace(home.record(id))


def about(home: Home, id: str) -> dict[str, Any]:
    """What was recorded, {} for what cannot be read."""
    try:
        found = json.loads(read(str(home.record(id)), _SIZE) or "{}")
        return found if isinstance(found, dict) else {}
    except (LoadError, ValueError):
        return {}


def note(home: Home, what: str, id: str, before: str) -> None:
    """Add a line to revisions.log."""
    when = time.strftime("%FT%TZ", time.gmtime())
    made = about(home, id)
    of = f"{made.get('source', '')} {made.get('revision', '')}"
    line = f"{when} {holder(home) or '-'} {what} {id} before={before or '-'} {of}"
    with home.revisions.open("a") as file:
        file.write("".join(each if each.isprintable() else "?" for each in line.rstrip()) + "\n")


def been_live(home: Home) -> set[str]:
    """The IDs that revisions.log says were live."""
    try:
        lines = (read(str(home.revisions), _SIZE) or "").splitlines()
    except LoadError:
        return set()
    return {parts[3] for line in lines if len(parts := line.split()) > 3}


def previous(home: Home) -> str:
    """The newest release before the live one that has been live, "" where there is none."""
    live, known = home.live(), been_live(home)
    return next((id for id in reversed(home.whole()) if id < live and id in known), "")
