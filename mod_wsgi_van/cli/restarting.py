"""Has the daemon processes load a site again."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mod_wsgi_van.cli import asking
from mod_wsgi_van.cli.asking import Line
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.hosts import Pattern
from mod_wsgi_van.settings import Settings

_PAUSE = 0.05  # seconds between two questions whether it is done
_MARK = "restart.txt"


def restart(site: str, settings: Settings) -> str:
    """Returns what came of it; raises Problem where it did not go well."""
    directory = settings.status_directory
    replies = asking.processes(directory, site=site)
    if not any(reply.process for reply in replies):
        return _touch(site, settings)
    before = {reply.socket: line["attempts"] for reply in replies for line in _lines(reply, site)}
    if not before:
        raise Problem(f"{site}: no daemon process has it loaded; its next request loads it")
    begun, patience = time.monotonic(), settings.load_timeout + settings.grace_period
    asking.processes(directory, "restart", site)
    waiting = dict(before)
    while waiting and time.monotonic() < begun + patience:
        time.sleep(_PAUSE)
        for reply in asking.processes(directory, "status", site):
            for line in _lines(reply, site):
                if reply.socket in waiting and line["attempts"] > waiting[reply.socket]:
                    del waiting[reply.socket]
                    _check(site, line)
        waiting = {path: ended for path, ended in waiting.items() if os.path.exists(path)}
    if waiting:
        raise Problem(f"{site}: it has not been loaded within {patience:g} s; see its logs")
    took = time.monotonic() - begun
    return f"{site} was loaded again by {len(before)} process(es) in {took:.1f} s."


def _lines(reply: asking.Reply, site: str) -> list[Line]:
    return [line for line in reply.sites if line["site"] == site]


def _check(site: str, line: Line) -> None:
    if line["state"] in ("failed", "holding", "refused"):
        failure = line["failure"]
        what = "the old release goes on" if line["state"] == "holding" else "it has none"
        raise Problem(f"{site}: {failure['code']}: {failure['text']}; {what}")


def _touch(site: str, settings: Settings) -> str:
    """Nobody listens: a change of the time of its directory reloads a site too."""
    path = Path(Pattern(settings.vhost_pattern).path(os.path.abspath(settings.base_path), site))
    mark = path / _MARK
    touched = mark if mark.exists() else path / settings.wsgi_dir
    try:
        os.utime(touched)
    except OSError as error:
        raise Problem(f"{site}: {touched} cannot be touched: {error.strerror}") from error
    return f"No daemon process listens in {settings.status_directory}: touched {touched}."
