"""What an isolation is: it loads one release of one vhost and can retire it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mod_wsgi_van.settings import Settings
from mod_wsgi_van.tally import Tally
from mod_wsgi_van.wsgi import Application


@dataclass(frozen=True, slots=True)
class Source:
    """Where a release is loaded from. Paths are absolute; a real path has no symlinks left."""

    host: str  # for log lines and error texts
    directory: str  # the wsgi directory, real: first on the release's sys.path
    venv: str  # the environment, real; need not exist
    site_packages: tuple[str, ...]  # real; what get_venv_paths named
    module_name: str
    object_name: str
    python: str  # interpreter of a worker process; may lead through symlinks, need not exist
    pure: tuple[str, ...] = ()  # packages whose compiled part is not for the daemon's process
    second_name: str = ""  # of the object where there is none of the first name
    factory: bool = False  # the object is called once, and returns the application
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # besides the daemon's
    settings: Settings | None = None  # where the site has its own
    tally: Tally = field(default_factory=Tally, compare=False, repr=False)
    site: str = ""  # its directory, symlinks and all; where workers run as its owner

    @property
    def names(self) -> tuple[str, ...]:
        """Of the object; the first one that there is counts."""
        return tuple(filter(None, (self.object_name, self.second_name)))

    def entry(self, name: str) -> str:
        """The way to the object of this name, for people."""
        return f"{self.module_name}:{name}" + "()" * self.factory


class Instance(Protocol):
    """One loaded release.

    ``entry`` says which object of which module was taken.
    """

    @property
    def entry(self) -> str: ...

    @property
    def application(self) -> Application:
        """The WSGI callable; called from any thread, many at once."""

    def retire(self) -> bool:
        """Run the exit handlers and let go of everything; called once no request is left, or when
        the grace period is over. May be called twice.

        Returns whether all that the release has started has ended.
        """

    def ended(self, timeout: float) -> bool:
        """Wait until nothing of a release runs that was retired; whether that is so."""


class Isolation(Protocol):
    """A way of keeping vhosts apart. ``load`` is called from many threads at once."""

    name: str

    def load(self, source: Source) -> Instance:
        """Load the application; may take as long as its imports do.

        Raises errors.LoadError and nothing else, whatever the application's code does.
        """

    def closing(self) -> None:
        """The process is about to end: what is retired from now on need not be freed.

        A load that is under way goes on.
        """

    def shutdown(self, timeout: float) -> None:
        """Give back what is shared by all releases, and end what still lives of them.

        Returns within ``timeout`` seconds, whatever the applications do. Loads nothing any more.
        """

    def after_fork(self) -> None:
        """In a forked child: forget, without touching the parent, what a child cannot use."""
