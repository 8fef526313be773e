"""What is logged of loads: one line for each, that names the site, the path and the outcome."""

from __future__ import annotations

import logging
import os
import re

from mod_wsgi_van.errors import BadSettings, LoadError
from mod_wsgi_van.files.version import MOST, Version
from mod_wsgi_van.isolation.choice import Choice
from mod_wsgi_van.lines import escape, marked
from mod_wsgi_van.reload.loader import Outcome
from mod_wsgi_van.sites.release import Release, State
from mod_wsgi_van.sites.site import Attempt, Site

log = logging.getLogger(__name__)

# What an import says that finds a lock, or a port, taken by the release before it.
_ONCE = re.compile(
    r"LockError|already locked|Couldn't lock|Address already in use|Errno (11|98)\b", re.IGNORECASE
)


def loaded(
    host: str, outcome: Outcome, before: State | None, took: float, done: str = "reloaded"
) -> None:
    """Log a load or a reload of ``took`` ms, and what an operator should know of it."""
    choice, state = outcome.prepared.choice, outcome.prepared.state
    version, directory = state.version, escape(state.directory)
    if before is None:
        why = escape(f"{outcome.instance.entry}; {choice.reason}")
        log.info("%s: loaded %s in %.0f ms (%s)", host, directory, took, why)
    else:
        if before.directory != state.directory:
            what = f"{escape(before.directory)} -> {directory}"
        else:
            what = _changed(before, state)
        log.info("%s: %s in %.0f ms: %s", host, done, took, what)
    if choice.isolation == "imports" and choice.unfit and before is None:
        log.warning(
            "%s: VAN011: loaded in this process, where it does not belong: %s;"
            ' isolation="process" gives the vhost a process of its own',
            host,
            escape("; ".join(choice.unfit)),
        )
    if isinstance(version, Version) and version.partial and before is None:
        log.warning(
            "%s: VAN019: there are more than %d files below %s: only a swap, and changes of what"
            " stands directly in it, reload the site; move what is not code out of it, or name it"
            " in watch_ignore",
            host,
            MOST,
            directory,
        )


def _changed(before: State, state: State) -> str:
    """What made a site be loaded again from the same directory."""
    old, new, directory = before.version, state.version, escape(state.directory)
    if not isinstance(old, Version) or not isinstance(new, Version):
        return f"{directory} changed"
    paths = new.changed_since(old)
    if not paths:
        return f"{directory} was touched"
    latest = f" (newest file: {escape(new.latest)})" if new.directory in paths else ""
    return f"{' and '.join(map(_named, paths))} changed{latest}"


def _named(path: str) -> str:
    directory, name = os.path.split(path)
    return f"its environment {escape(directory)}" if name == "pyvenv.cfg" else escape(path)


def shared(host: str, other: str, state: State) -> None:
    """Log that another name of a site has its release."""
    log.info("%s: has the release of %s, from %s", host, other, escape(state.directory))


def moved(host: str, choice: Choice) -> None:
    """Log that a reload has chosen another isolation."""
    where = "a worker process" if choice.isolation == "process" else "this process"
    log.warning("%s: runs in %s from now on: %s", host, where, escape(choice.reason))


def capped(host: str, capped: tuple[str, ...]) -> None:
    """Log what a site asked for and did not get."""
    text = "%s: VAN042: its van.toml or shared/.env asks for what its administrator decides: %s"
    if capped:
        log.warning(text, host, escape("; ".join(capped)))


def failed(site: Site, error: LoadError, wsgi: str, *, back: str = "", beside: bool = True) -> None:
    """Log a failed load.

    ``back`` tells of the release that had to end before. ``beside``: it goes on, if there is one.
    """
    hint = ""
    if beside and isinstance(site.release, Release) and _ONCE.search(f"{error}{error.details}"):
        hint = '; if the site can be only once, set reload = "restart" in its van.toml'
    log.error(
        "%s%s; %s%s until something changes in %s%s",
        error.of(site.host),
        hint,
        f"{back}; " if back else "",
        _outcome(site, 500),
        error.files[0] if isinstance(error, BadSettings) else wsgi,
        "\n" + marked(site.host, error.details) if error.details else "",
    )


def late(attempt: Attempt, wsgi: str) -> None:
    """Log that an import does not end; it is no failure yet, for it may end after all."""
    log.error(
        "%s: VAN004: loading %s has not ended within load_timeout (%g s); %s meanwhile;"
        " look for what its import waits for",
        attempt.site.host,
        wsgi,
        attempt.deadline - attempt.started,
        _outcome(attempt.site, 503),
    )


def silent(site: Site, wsgi: str, *, asks: bool) -> None:
    """Log that a site's file system does not answer, or an override of get_version."""
    log.error(
        "%s: VAN017: the file system of %s%s does not answer; %s, and nothing is reloaded until it"
        " does; look at the file server, or at what is mounted there",
        site.host,
        wsgi,
        ", or get_version," if asks else "",
        _outcome(site, 503),
    )


def _outcome(site: Site, status: int) -> str:
    release = site.release
    if isinstance(release, Release):
        return f"the release from {escape(release.state.directory)} goes on serving"
    return f"requests get {status}"
