"""What the daemon processes say of a site while its release changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van.deploy.failure import DeployFailed

Line = Mapping[str, Any]
Said = Sequence[Line | str]
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
    directory = os.path.realpath(release)

    def late(line: Line) -> bool:
        _check(line, since)
        return _is_late(line, directory)

    heard = _await(ask, late, limit)
    for line in heard.late:
        raise DeployFailed(
            f"a daemon process has not loaded it within {limit:.0f} s: it is {line['state']}, with"
            f" {line['release'] or 'no release'}"
        )
    live = sum(line.get("release") == directory for line in heard.lines)
    told = f"{live} of {heard.asked} daemon processes have it live"
    if live < len(heard.lines):
        told += "; the others load it with the first request"
    return heard.told(told)


def await_gone(ask: Callable[[], Said], grace: float) -> str:
    """Wait until no process has anything of the site any more; returns what was seen.

    Raises DeployFailed where one has, long after the ``grace`` for its requests is over.
    """

    def has(line: Line) -> bool:
        return line.get("state") not in (None, "unloaded") or bool(line.get("retiring"))

    heard = _await(ask, has, grace + _NOTICES)
    if heard.late:
        text = f"{len(heard.late)} daemon processes do not let go of it: try again later"
        raise DeployFailed(text)
    return heard.told(f"none of {heard.asked} daemon processes has it")


def await_maintenance(ask: Callable[[], Said], wanted: bool) -> str:
    """Wait until all processes have noticed that it is on, or off; returns what was seen."""
    other = (*_ANSWERING, "failed", "refused") if wanted else ("maintenance",)
    heard = _await(ask, lambda line: line.get("state") in other, _NOTICES)
    noticed = len(heard.lines) - len(heard.late)
    told = f"{noticed} of {heard.asked} daemon processes have noticed"
    if wanted and (busy := sum(line.get("in_progress", 0) for line in heard.lines)):
        told += f"; {busy} requests are under way"
    return heard.told(told)


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said in the end: ``late`` are some of ``lines``, ``silent`` says why not more."""

    lines: Sequence[Line]
    silent: Sequence[str]
    late: Sequence[Line]

    @property
    def asked(self) -> int:
        return len(self.lines) + len(self.silent)

    def told(self, text: str) -> str:
        """The text, and what keeps it from being all there is."""
        return "; ".join([text, *self.silent]) if self.asked else _NOBODY


def _await(ask: Callable[[], Said], late: Callable[[Line], bool], limit: float) -> Heard:
    """Wait until no process is late, and all have answered or were asked often enough."""
    deadline, times = time.monotonic() + limit, 0
    while True:
        said, times = ask(), times + 1
        lines = [each for each in said if not isinstance(each, str)]
        silent = [each for each in said if isinstance(each, str)]
        heard = Heard(lines, silent, [line for line in lines if late(line)])
        enough = not heard.late and (not silent or times >= _TIMES)
        if enough or time.monotonic() > deadline:
            return heard
        time.sleep(_PAUSE)


def _check(line: Line, since: float) -> None:
    failure = line.get("failure") or {"time": 0.0}
    failing = ("failed", "holding", "refused", "maintenance")
    if line.get("state") in failing and failure["time"] >= since:
        what = f"a daemon process could not load it: {failure['code']}"
        raise DeployFailed(f"{what}\n{failure['text']}")


def _is_late(line: Line, directory: str) -> bool:
    unknown = ("unloaded", *(() if line.get("release") else ("maintenance",)))
    if line.get("state") in (None, *unknown):
        return False
    return bool(line["release"] != directory)
