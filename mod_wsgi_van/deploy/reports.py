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
_NOTICES = 15.0  # seconds until a daemon process has seen that the link is gone
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
    deadline, times = time.monotonic() + grace + _NOTICES, 0
    while True:
        said, times = ask(), times + 1
        silent = [each for each in said if isinstance(each, str)]
        having = sum(not isinstance(each, str) and _has(each) for each in said)
        if not having and (not silent or times >= _TIMES):
            asked = f"none of {len(said)} daemon processes has it" if said else _NOBODY
            return "; ".join([asked, *silent])
        if time.monotonic() > deadline:
            raise DeployFailed(f"{having} daemon processes do not let go of it: try again later")
        time.sleep(_PAUSE)


def _has(line: Mapping[str, Any]) -> bool:
    return line.get("state") not in (None, "unloaded") or bool(line.get("retiring"))


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
