"""What is logged of loads: one line for each, that names the site, the path and the outcome."""

from __future__ import annotations

import logging
import re

from mod_wsgi_van.errors import BadSettings, LoadError
from mod_wsgi_van.files.version import MOST, Version
from mod_wsgi_van.isolation.choice import Choice
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
    version = state.version
    if before is None:
        why = f"{outcome.instance.entry}; {choice.reason}"
        log.info("%s: loaded %s in %.0f ms (%s)", host, state.directory, took, why)
    elif before.directory != state.directory:
        log.info("%s: %s in %.0f ms: %s -> %s", host, done, took, before.directory, state.directory)
    else:
        latest = getattr(version, "latest", "")
        changed = f" (newest file: {latest})" if latest else ""
        log.info("%s: %s in %.0f ms: %s changed%s", host, done, took, state.directory, changed)
    if choice.isolation == "imports" and choice.unfit and before is None:
        log.warning(
            "%s: VAN011: loaded in this process, where it does not belong: %s;"
            ' isolation="process" gives the vhost a process of its own',
            host,
            "; ".join(choice.unfit),
        )
    if isinstance(version, Version) and version.partial and before is None:
        log.warning(
            "%s: VAN019: there are more than %d files below %s: only a swap, and changes of what"
            " stands directly in it, reload the site; move what is not code out of it, or name it"
            " in watch_ignore",
            host,
            MOST,
            state.directory,
        )


def shared(host: str, other: str, state: State) -> None:
    """Log that another name of a site has its release."""
    log.info("%s: has the release of %s, from %s", host, other, state.directory)


def moved(host: str, choice: Choice) -> None:
    """Log that a reload has chosen another isolation."""
    where = "a worker process" if choice.isolation == "process" else "this process"
    log.warning("%s: runs in %s from now on: %s", host, where, choice.reason)


def capped(host: str, capped: tuple[str, ...]) -> None:
    """Log what a site asked for and did not get."""
    text = "%s: VAN042: its van.toml or shared/.env asks for what its administrator decides: %s"
    if capped:
        log.warning(text, host, "; ".join(capped))


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
        "\n" + error.details.rstrip() if error.details else "",
    )


def late(attempt: Attempt, wsgi: str) -> None:
    """Log that an import does not end."""
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
        return f"the release from {release.state.directory} goes on serving"
    return f"requests get {status}"
