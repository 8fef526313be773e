"""What a request can be answered by: a release of a vhost, or one of the router's own answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from mod_wsgi_van.files.chain import Identity
from mod_wsgi_van.files.version import Version
from mod_wsgi_van.isolation.contract import Instance
from mod_wsgi_van.tally import Tally
from mod_wsgi_van.wsgi import Application

Place = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class State:
    """What decided the code of one attempt to load a vhost, or would decide that of the next."""

    version: object  # what get_version returned
    directory: str  # the wsgi directory, real
    further: tuple[str, ...] = ()  # rows of the files that a failed attempt's traceback named
    # Of the wsgi directory: who exchanges it while it is loaded may leave its path as it was.
    identity: Identity | None = field(default=None, compare=False)
    has_venv: bool = field(default=False, compare=False)
    place: Place | None = field(default=None, compare=False)  # of the vhost's directory

    def touched_by(self, other: State) -> bool:
        """Whether ``other`` is the same code with another mtime of its directory."""
        mine, its = self.version, other.version
        return isinstance(mine, Version) and isinstance(its, Version) and its.touched_since(mine)

    def same_directory(self, other: State) -> bool:
        mine, its = self.identity or (), other.identity or ()
        return self.directory == other.directory and mine[:2] == its[:2]  # st_dev, st_ino

    def same_release(self, other: State) -> bool:
        return self.directory == other.directory and self.version == other.version


class Lease:
    """Held by the environ of every request that a release was chosen for.

    When the last environ is gone the release is out of use: reference counting does what a
    counter with a lock, or a wrapper around the response, would have to do on every request.
    ``str(environ["mod_wsgi_van.release"])`` is the release's wsgi directory.
    """

    __slots__ = ("__weakref__", "directory")

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __str__(self) -> str:
        return self.directory


@dataclass(eq=False, slots=True)
class Share:
    """What ``Shares`` knows of the requests of one release; guarded by its lock."""

    host: str = ""
    most: int = 0  # at once; 0: no limit of its own
    tally: Tally = field(default_factory=Tally)  # of the site that loaded it
    full_since: float = 0.0  # requests in excess have waited since then; all times are monotonic
    full_at: float = 0.0  # one did last
    quick: bool = False  # meanwhile its requests did end
    judged_until: float = 0.0  # so long that holds
    said_until: float = 0.0
    refused: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the router itself says in place of an application; looks to a request like a release."""

    application: Application
    lease: Lease = field(default_factory=lambda: Lease(""))
    share: Share = field(default_factory=Share)
    unasked: int = sys.maxsize


def _counted_alone() -> int:
    answer = Answer(lambda environ, start_response: [])
    environ = {"": answer.lease}
    count = sys.getrefcount(answer.lease)
    del environ
    return count


# What sys.getrefcount(release.lease) says of a release that one request has. That is exact where
# nobody else names a lease, as a local variable or an argument would.
ALONE = _counted_alone()


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """One loaded version of one vhost.

    ``origin`` tells what it was made of: equal ones would be the same application again.
    Nobody but its sites keeps one: with the site's reference and the last request's gone its lease
    goes, and that is how the reload thread knows that it can be retired.
    """

    application: Application
    lease: Lease
    instance: Instance
    state: State
    isolation: str
    origin: object = field(repr=False)  # has the variables of the site
    prepared: object = field(default=None, repr=False)  # what it can be loaded from again
    share: Share = field(default_factory=Share)
    # Up to this count of its lease's references a request asks nobody whether it may go on.
    unasked: int = ALONE
