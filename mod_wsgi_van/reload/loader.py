"""Loads one vhost: asks the hooks where its code is, and an isolation to load it.

``Loader.load`` runs in a thread of its own per attempt (``van-load-<host>``), ``state`` in the
reloader's thread and in those; the class owns nothing that changes after its construction but the
two isolations, made at their first use.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from mod_wsgi_van.errors import HookFailed, Unreadable
from mod_wsgi_van.files.chain import resolve
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version, points
from mod_wsgi_van.isolation.choice import Choice, choose
from mod_wsgi_van.isolation.contract import Isolation, Source
from mod_wsgi_van.settings import ISOLATION
from mod_wsgi_van.sites.release import Lease, Release, State

T = TypeVar("T")

_TRIES = 5  # at a vhost that is swapped again and again
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class Hooks(Protocol):
    """The settings and hooks of the router that say where a vhost's code is."""

    venv_name: str
    wsgi_dir: str
    module_name: str
    object_name: str
    watch_paths: Sequence[str]

    def get_version(self, path: Path) -> object: ...
    def get_venv_paths(self, path: Path) -> Iterable[Path]: ...
    def get_isolation(self, path: Path) -> str: ...
    def get_python(self, path: Path) -> Path: ...


class Missing(Exception):
    """There is no such vhost: its directory or the wsgi directory in it does not exist."""


@dataclass(frozen=True, slots=True)
class Loading:
    """A release and how it came about, for the log."""

    release: Release
    choice: Choice


class Loader:
    """Turns a vhost directory into a Release; called from many threads at once."""

    def __init__(self, hooks: Hooks, isolations: Mapping[str, Callable[[], Isolation]]) -> None:
        self._hooks = hooks
        self._makers = isolations
        self._isolations: dict[str, Isolation] = {}
        self._lock = threading.Lock()  # guards _isolations

    def wsgi_path(self, path: Path) -> str:
        """Return the absolute path of the wsgi directory, symlinks and all."""
        return os.path.join(os.path.abspath(path), self._hooks.wsgi_dir)

    def target(self, path: Path, files: tuple[str, ...] = ()) -> Target:
        """Return what to watch for a vhost. ``files``: what a failed attempt's traceback named.

        The environment counts as what its pyvenv.cfg says and where that is: replaced or made
        anew it is another one, while what is installed into it is never walked.
        """
        top = os.path.abspath(path)
        return Target(
            path=self.wsgi_path(path),
            trees=tuple(os.path.join(top, further) for further in self._hooks.watch_paths),
            files=(os.path.join(top, self._hooks.venv_name, "pyvenv.cfg"), *files),
        )

    def exists(self, path: Path) -> bool:
        """Whether there is such a vhost; one that cannot be read is one, which fails to load."""
        try:
            return stat.S_ISDIR(os.stat(self.wsgi_path(path)).st_mode)
        except OSError as error:
            return error.errno not in _MISSING

    def leads_to(self, path: Path) -> str:
        """Return what the wsgi directory resolves to now, "" where that does not exist."""
        return resolve(self.wsgi_path(path)).end

    def state(self, path: Path, files: tuple[str, ...] = (), tries: int = _TRIES) -> State:
        """Measure what would be loaded now; again, ``tries`` times at most, if swapped meanwhile.

        Raises Missing, or HookFailed when get_version raises for another reason.
        """
        try:
            # The version before the directory: a swap in between then looks like a change that
            # is still to come. The other way round it would never be noticed.
            version = self._hooks.get_version(path)
            if isinstance(version, Version):
                directory = version.directory
            else:
                directory = os.path.realpath(self.wsgi_path(path), strict=True)
                if not os.path.isdir(directory):
                    raise Missing(path)
        except Missing:
            raise
        except BaseException as error:  # a hook may call sys.exit(): that must not end our thread
            if isinstance(error, OSError) and error.errno in _MISSING:
                if not self.exists(path):
                    raise Missing(path) from error
                if tries:
                    return self.state(path, files, tries - 1)
            if isinstance(error, PermissionError):
                raise Unreadable(
                    f"{error.filename or path} cannot be read: {error.strerror}; give this"
                    " process's user permission to read it and to enter the directories above"
                ) from error
            raise HookFailed(f"get_version({str(path)!r}) raised {error!r}") from error
        return State(version, directory, points(files))

    def load(self, host: str, path: Path, state: State) -> Loading:
        """Load what ``state`` was measured of; raises LoadError."""
        source = self._source(host, path, state.directory)
        choice = choose(source, _ask("get_isolation", self._isolation_of, path))
        loaded = self._isolation(choice.isolation).load(source)
        lease = Lease(state.directory)
        return Loading(Release(loaded.application, lease, loaded, state, choice.isolation), choice)

    def _source(self, host: str, path: Path, directory: str) -> Source:
        hooks = self._hooks
        return Source(
            host=host,
            directory=directory,
            venv=_physical(path / hooks.venv_name),
            site_packages=_ask("get_venv_paths", self._venv_paths, path),
            module_name=hooks.module_name,
            object_name=hooks.object_name,
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


def _physical(path: Path) -> str:
    """Return where a path leads, or the path itself where it leads nowhere.

    os.path.realpath() raises when a symlink goes away while it looks, even if it is not strict.
    """
    absolute = os.path.abspath(path)
    return resolve(absolute).end or absolute


def _ask(name: str, hook: Callable[[Path], T], path: Path) -> T:
    try:
        return hook(path)
    except BaseException as error:
        raise HookFailed(f"{name}({str(path)!r}) raised {error!r}") from error
