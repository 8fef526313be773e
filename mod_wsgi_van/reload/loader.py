"""Loads one vhost: asks the hooks where its code is, and an isolation to load it.

``measure`` and ``exists`` run in ``van-files`` and in the loading threads, ``load`` in those. The
class owns nothing that changes after its construction but the two isolations, made at their first
use.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from mod_wsgi_van.errors import HookFailed
from mod_wsgi_van.files.chain import identify, resolve
from mod_wsgi_van.files.reading import is_missing, unreadable
from mod_wsgi_van.files.target import Target, marks
from mod_wsgi_van.files.version import Version, points
from mod_wsgi_van.isolation.choice import Choice, choose
from mod_wsgi_van.isolation.contract import Instance, Isolation, Source
from mod_wsgi_van.reload.entry import entry
from mod_wsgi_van.reload.rules import Rules
from mod_wsgi_van.settings import ISOLATION, Settings, site_rows
from mod_wsgi_van.sites.release import ALONE, Lease, Release, Share, State
from mod_wsgi_van.sites.site import Site

T = TypeVar("T")

_TRIES = 5  # at a vhost that is swapped again and again


class Hooks(Protocol):
    """The hooks of the router that say where a vhost's code is."""

    module_name: str
    object_name: str

    def get_version(self, path: Path) -> object: ...
    def get_venv_paths(self, path: Path) -> Iterable[Path]: ...
    def get_isolation(self, path: Path) -> str: ...
    def get_python(self, path: Path) -> Path: ...


class Missing(Exception):
    """There is no such vhost: its directory or the wsgi directory in it does not exist."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be loaded, and how. ``origin``: two with equal ones make the same."""

    source: Source
    settings: Settings
    state: State
    choice: Choice
    origin: object = field(repr=False)
    capped: tuple[str, ...]  # what the site asked for and did not get


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was loaded.

    The frames of a load live on where an exception that the application keeps leads to them, so
    they must not have the lease: it is made with the release that goes live.
    """

    instance: Instance
    prepared: Prepared

    def release(self) -> Release:
        prepared, instance = self.prepared, self.instance
        most = prepared.settings.max_concurrency
        return Release(
            instance.application,
            Lease(prepared.state.directory),
            instance,
            prepared.state,
            prepared.choice.isolation,
            prepared.origin,
            prepared,
            Share(prepared.source.host, most, prepared.source.tally),
            ALONE - bool(most),  # where it counts, each asks
        )


class Loader:
    """Turns a vhost's directory into a Release; called from many threads at once."""

    def __init__(
        self,
        hooks: Hooks,
        rules: Rules,
        isolations: Mapping[str, Callable[[], Isolation]],
        *,
        asks: bool,
    ) -> None:
        self.asks = asks  # get_version is an override, of which no event tells
        self._hooks = hooks
        self._rules = rules
        self._makers = isolations
        self._isolations: dict[str, Isolation] = {}
        self._lock = threading.Lock()  # guards _isolations

    def wsgi(self, path: Path) -> str:
        """Return the absolute path of the wsgi directory, symlinks and all."""
        return self._rules.wsgi(path)

    def target(self, path: Path, files: tuple[str, ...] = ()) -> Target:
        """Return what to watch for a vhost; see Rules."""
        return replace(self._rules.target(path, files), beside=marks(path))

    def way(self, path: Path) -> Target:
        """Return what to watch for a vhost that is not there."""
        return Target(self._rules.wsgi(path), tree=False)

    def exists(self, path: Path) -> bool | None:
        """Whether there is such a vhost; None when that cannot be told."""
        try:
            return stat.S_ISDIR(os.stat(self._rules.wsgi(path)).st_mode)
        except OSError as error:
            return False if is_missing(error) else None

    def leads_to(self, path: Path) -> str:
        """Return what the wsgi directory resolves to now, "" where that does not exist."""
        return resolve(self._rules.wsgi(path)).end

    def measure(self, path: Path, files: tuple[str, ...] = (), tries: int = _TRIES) -> State:
        """Measure what would be loaded now; again, ``tries`` times at most, if swapped meanwhile.

        Raises Missing, or HookFailed when get_version raises for another reason.
        """
        identity = identify(self._rules.wsgi(path))  # first: what is older only costs a look
        try:
            # The version before the directory: a swap in between then looks like a change that
            # is still to come. The other way round it would never be noticed.
            version = self._hooks.get_version(path)
            directory = self._directory(version, path)
        except Missing:
            raise
        except BaseException as error:  # a hook may call sys.exit(): that must not end our thread
            if is_missing(error):
                gone = not tries and isinstance(error, FileNotFoundError)  # as an override may say
                if gone or self.exists(path) is False:
                    raise Missing(path) from error
                if tries:
                    return self.measure(path, files, tries - 1)
            if isinstance(error, OSError) and isinstance(error.filename, str):
                raise unreadable(error.filename, error) from error
            raise HookFailed(f"get_version({str(path)!r}) raised {error!r}") from error
        has_venv = os.path.isdir(os.path.join(path, self._rules.venv_name))
        top = identify(str(path))
        place = top[:2] if top is not None else None
        return State(version, directory, points(files), identity, has_venv, place)

    def _directory(self, version: object, path: Path) -> str:
        if isinstance(version, Version):
            return version.directory
        chain = resolve(self._rules.wsgi(path))
        if chain.error:
            raise OSError(chain.error, os.strerror(chain.error), self._rules.wsgi(path))
        if not os.path.isdir(chain.end):
            raise Missing(path)
        return chain.end

    def prepare(self, site: Site, state: State) -> Prepared:
        """Prepare to load what ``state`` was measured of; raises LoadError."""
        path = site.path
        granted = self._rules.for_release(path)
        source = self._source(site.host, path, state.directory, granted.settings)
        source = replace(source, tally=site.tally)
        setting = _ask("get_isolation", self._isolation_of, path)
        restarts = granted.settings.reload == "restart"
        choice = choose(source, setting, goes_on=site.goes_on, restarts=restarts)
        source = replace(source, pure=choice.pure)
        origin = _origin(source, granted.settings, choice)
        return Prepared(source, granted.settings, state, choice, origin, granted.capped)

    def load(self, prepared: Prepared) -> Outcome:
        """Load it; raises LoadError."""
        return Outcome(self._isolation(prepared.choice.isolation).load(prepared.source), prepared)

    def _source(self, host: str, path: Path, directory: str, settings: Settings) -> Source:
        hooks = self._hooks
        taken = entry(settings.entry, hooks.module_name, hooks.object_name, directory)
        return Source(
            host=host,
            directory=directory,
            venv=_physical(path / self._rules.venv_name),
            site_packages=_ask("get_venv_paths", self._venv_paths, path),
            module_name=taken.module,
            object_name=taken.name,
            second_name=taken.second,
            factory=taken.factory,
            env=settings.env,
            settings=settings,
            site=os.path.abspath(path) if settings.site_user == "owner" else "",
            python=_ask("get_python", lambda path: os.path.abspath(hooks.get_python(path)), path),
        )

    def _venv_paths(self, path: Path) -> tuple[str, ...]:
        found = self._hooks.get_venv_paths(path)
        if isinstance(found, (str, bytes)):
            raise TypeError(f"one path was returned and not a list of paths: {found!r}")
        return tuple(_physical(each) for each in found)

    def _isolation_of(self, path: Path) -> str:
        found = self._hooks.get_isolation(path)
        if found not in ISOLATION:
            raise ValueError(f"{found!r} was returned and not one of {', '.join(ISOLATION)}")
        return found

    def _isolation(self, name: str) -> Isolation:
        with self._lock:
            if name not in self._isolations:
                self._isolations[name] = self._makers[name]()
            return self._isolations[name]

    def closing(self) -> None:
        for isolation in list(self._isolations.values()):
            isolation.closing()

    def shutdown(self, timeout: float) -> None:
        for isolation in list(self._isolations.values()):
            isolation.shutdown(timeout)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        for isolation in self._isolations.values():
            isolation.after_fork()


def _origin(source: Source, settings: Settings, choice: Choice) -> object:
    """All that decides about a release, whatever its site is called."""
    python = _below(source.python)
    venv = source.venv if os.path.isdir(source.venv) else _below(source.venv)
    own = [getattr(settings, row.name) for row in site_rows().values()]
    return choice.isolation, replace(source, host="", venv=venv, python=python, settings=None), own


def _physical(path: Path) -> str:
    """Return where a path leads, or the path itself where it leads nowhere."""
    absolute = os.path.abspath(path)
    return resolve(absolute).end or absolute


def _below(path: str) -> str:
    """Return a path with that of its directory resolved: it may be a link that is to be kept."""
    directory, name = os.path.split(path)
    return os.path.join(resolve(directory).end or directory, name)


def _ask(name: str, hook: Callable[[Path], T], path: Path) -> T:
    try:
        return hook(path)
    except BaseException as error:
        raise HookFailed(f"{name}({str(path)!r}) raised {error!r}") from error
