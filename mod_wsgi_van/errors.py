"""The errors an operator may meet, each with the stable code that ``codes`` explains.

Values only: nothing here logs, and nothing here is shown to a client.
"""

from __future__ import annotations

from mod_wsgi_van.lines import escape


class VanError(Exception):
    """An error of the router: ``code`` is stable, the text says what failed and what to do."""

    code: str

    def __str__(self) -> str:
        return f"{self.code}: {escape(super().__str__())}"

    def of(self, host: str) -> str:
        """Return it as the beginning of a log line about ``host``, which its text may name too."""
        return f"{host}: {self.code}: {escape(super().__str__()).removeprefix(f'{host}: ')}"


class BadHost(VanError):
    """The Host header cannot be the name of a site; the client gets 400."""

    code = "VAN001"


class LoadError(VanError):
    """The application of a site could not be loaded.

    ``details`` is the traceback as text ("" where there is none) and ``files`` the absolute paths
    that it names: a change in one of them is a reason to try again.
    """

    code = "VAN002"

    def __init__(self, message: str, *, details: str = "", files: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.details = details
        self.files = files


class ImportFailed(LoadError):
    """Importing the module raised, exited or was interrupted."""


class BadObject(LoadError):
    """The module was imported, but the object is missing or cannot be called."""

    code = "VAN003"


class LoadTimeout(LoadError):
    """The import has not ended within ``load_timeout`` seconds."""

    code = "VAN004"


class WrongPython(LoadError):
    """The environment was made with a Python that this process cannot import from."""

    code = "VAN005"


class UnsupportedPython(LoadError):
    """This CPython lacks an internal that the private import system stands on."""

    code = "VAN006"


class WorkerFailed(LoadError):
    """The worker process of a site could not be started or ended before it was ready."""

    code = "VAN007"


class SpawnRefused(LoadError):
    """The spawner does not start a worker for this site, or there is no spawner."""

    code = "VAN050"


class HookFailed(LoadError):
    """A hook of a Router subclass (get_server_path, get_version ...) raised."""

    code = "VAN008"


class Unreadable(HookFailed):
    """What decides the version of a site may not be read by this process."""

    code = "VAN015"


class UnfitFile(LoadError):
    """A file of a site that the daemon would read is no regular file, or far too large."""

    code = "VAN018"


class BadSettings(LoadError):
    """What a site says of itself, in its van.toml or shared/.env, cannot be used."""

    code = "VAN041"


class IncompleteEnvironment(LoadError):
    """A site's environment is there, but not all that makes it one: it is being made."""

    code = "VAN027"


class CheckFailed(LoadError):
    """A new release was loaded, and does not answer the request that ``check`` asks for."""

    code = "VAN044"


class WatchError(VanError):
    """``watch="inotify"`` was asked for and inotify cannot be had; the text names the limit."""

    code = "VAN020"
