"""What the daemon processes say of a site while its release changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mod_wsgi_van.deploy.failure import DeployFailed

Said = Sequence[Mapping[str, Any] | str]
"""For each daemon process its line of the site, {} where it has none, or why it said nothing."""

_PAUSE = 0.05  # seconds
_NOTICES = 15.0  # seconds until a daemon process has seen a change
_ANSWERING = ("loaded", "loading", "holding")
_NOBODY = "not asked: no daemon process listens"
_TIMES = 3  # that a process is asked which does not answer


def await_live(ask: Callable[[], Said], release: Path, since: float, limit: float) -> str:
    """Wait until no process has another release; returns what was seen.

    ``since``: epoch seconds; what failed before is of no account. Raises DeployFailed where a
    process has failed to load the release, or has not loaded it within ``limit`` seconds.
    """
    directory, deadline = os.path.realpath(release), time.monotonic() + limit
    times = 0
    while True:
        said, times = ask(), times + 1
        lines = [each for each in said if not isinstance(each, str)]
        for line in lines:
            _check(line, since)
        late = [line for line in lines if _is_late(line, directory)]
        silent = [each for each in said if isinstance(each, str)]
        if not late and (not silent or times >= _TIMES):
            live = sum(line.get("release") == directory for line in lines)
            return _told(len(said), live, silent)
        if time.monotonic() > deadline:
            raise DeployFailed(
                f"a daemon process has not loaded it within {limit:.0f} s: it is"
                f" {late[0]['state']}, with {late[0]['release'] or 'no release'}"
            )
        time.sleep(_PAUSE)


def await_gone(ask: Callable[[], Said], grace: float) -> str:
    """Wait until no process has anything of the site any more; returns what was seen.

    Raises DeployFailed where one has, long after the ``grace`` for its requests is over.
    """

    def has(line: Mapping[str, Any]) -> bool:
        return line.get("state") not in (None, "unloaded") or bool(line.get("retiring"))

    said, having = _await(ask, has, grace + _NOTICES)
    if having:
        raise DeployFailed(f"{having} daemon processes do not let go of it: try again later")
    silent = [each for each in said if isinstance(each, str)]
    return "; ".join([f"none of {len(said)} daemon processes has it" if said else _NOBODY, *silent])


def await_maintenance(ask: Callable[[], Said], wanted: bool) -> str:
    """Wait until all processes have noticed that it is on, or off; returns what was seen."""
    other = ("maintenance",) if not wanted else (*_ANSWERING, "failed", "refused")
    said, late = _await(ask, lambda line: line.get("state") in other, _NOTICES)
    told = f"{len(said) - late} of {len(said)} daemon processes have noticed" if said else _NOBODY
    silent = [each for each in said if isinstance(each, str)]
    busy = sum(int(each.get("in_progress", 0)) for each in said if not isinstance(each, str))
    going_on = [f"{busy} requests are under way"] if busy and wanted else []
    return "; ".join([told, *going_on, *silent])


def _await(
    ask: Callable[[], Said], late: Callable[[Mapping[str, Any]], bool], limit: float
) -> tuple[Said, int]:
    """Wait until no process is late, and all have answered or were asked often enough.

    Returns what was said in the end, and by how many late ones.
    """
    deadline, times = time.monotonic() + limit, 0
    while True:
        said, times = ask(), times + 1
        silent = any(isinstance(each, str) for each in said)
        count = sum(not isinstance(each, str) and late(each) for each in said)
        if (not count and (not silent or times >= _TIMES)) or time.monotonic() > deadline:
            return said, count
        time.sleep(_PAUSE)


def _check(line: Mapping[str, Any], since: float) -> None:
    failure = line.get("failure") or {"time": 0.0}
    failing = ("failed", "holding", "refused", "maintenance")
    if line.get("state") in failing and failure["time"] >= since:
        what = f"a daemon process could not load it: {failure['code']}"
        raise DeployFailed(f"{what}\n{failure['text']}")


def _is_late(line: Mapping[str, Any], directory: str) -> bool:
    unknown = ("unloaded", *(() if line.get("release") else ("maintenance",)))
    if line.get("state") in (None, *unknown):
        return False
    return bool(line["release"] != directory)


def _told(asked: int, live: int, silent: Sequence[str]) -> str:
    if not asked:
        return _NOBODY
    text = f"{live} of {asked} daemon processes have it live"
    if live + len(silent) < asked:
        text += "; the others load it with the first request"
    return "; ".join([text, *silent])
