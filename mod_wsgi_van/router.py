"""The router: settings and hooks of one base directory, and the WSGI callable that serves it.

A request reads two references and stores one; what does more than that is the slow path of a first
request. Threads start with the first request of a process, see ``engine``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from inspect import signature
from pathlib import Path
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Self

from mod_wsgi_van import answers, config
from mod_wsgi_van.engine import Engine
from mod_wsgi_van.errors import BadHost, WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.version import measure
from mod_wsgi_van.hosts import Aliases, Pattern, normalise
from mod_wsgi_van.interpreter.leftovers import leftovers, undo
from mod_wsgi_van.interpreter.scripts import scripts
from mod_wsgi_van.isolation.contract import Isolation
from mod_wsgi_van.isolation.environment import base_python
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.reload.attempts import Answers
from mod_wsgi_van.reload.loader import Loader
from mod_wsgi_van.reload.rules import Rules
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.release import Answer, Release
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.wsgi import Environ, Response, StartResponse

RELEASE = "mod_wsgi_van.release"
_NO_THREAD = (
    "VAN016: the router cannot start its threads: {!r}; raise the limit of processes (RLIMIT_NPROC,"
    " the pids limit of the container) or of memory"
)


class Router(Settings):
    """Serves every vhost below ``base_path``; ``application`` is the WSGI callable.

    Settings are given to the constructor, as class attributes of a subclass, or in a file, see
    from_config. A wrong one raises ValueError. Hooks (``get_*``, ``not_found``, ``unavailable``)
    are there to be overridden.
    """

    if not TYPE_CHECKING:  # a type checker takes the signature of Settings

        def __init__(self, *args: Any, **given: Any) -> None:
            """Set what is given; the rest stays a class attribute, a subclass's before ours."""
            vars(self).update(signature(Settings).bind_partial(*args, **given).arguments)
            self.__post_init__()

    @classmethod
    def from_config(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Make a router of a van.toml: ``path``, else $MOD_WSGI_VAN_CONFIG, else config.PATH.

        Raises config.ConfigError, a ValueError that names file, line and what is allowed.
        """
        return cls(**config.load(path))

    def __post_init__(self) -> None:
        own = {each.name: getattr(self, each.name) for each in fields(Settings)}
        self._settings = Settings(**own)
        vars(self).update(vars(self._settings))
        self._pattern = Pattern(self.vhost_pattern)
        self._ignore = Ignore(self.watch_ignore)
        self._aliases = Aliases({name: of.get("aliases", ()) for name, of in self.sites.items()})
        self._rules = Rules(
            self._settings,
            lambda path: self._sites.host(path),
            lambda name: self._server_path(name, {}),
        )
        self._bad_request = Answer(partial(answers.short, status="400 Bad Request"))
        self._busy = Answer(self._answer_busy)
        self._broken = Answer(self._answer_broken)
        asks = type(self).get_version is not Router.get_version
        loader = Loader(self, self._rules, self._isolations(), asks=asks)
        given = Answers(
            Answer(self._answer_not_found), self._broken, Answer(self._answer_maintenance)
        )
        self._engine = Engine(loader, given, self._settings)
        self._sites = self._engine.sites
        self._shares = self._engine.shares
        scripts.made(os.path.abspath(self.base_path), self._engine.supersede)

    def _isolations(self) -> dict[str, Callable[[], Isolation]]:
        def imports() -> Isolation:
            settings = self._settings
            share, patience = settings.waste_share, settings.shutdown_timeout
            return ImportsIsolation(self._sites.idle, self._engine.calm, share, patience)

        return {"imports": imports, "process": partial(ProcessIsolation, self._settings)}

    # Hooks

    def get_server_path(self, host_name: str, port: int = 80) -> Path:
        """Return the absolute directory of a vhost.

        ``host_name`` is normalised: lower case, no port, no trailing dot, no IPv6 brackets.
        ``port`` counts only for ``%p`` in vhost_pattern; an override need not take it. Raises
        errors.BadHost (400) where the result would leave base_path. Called from request threads.
        """
        return Path(self._pattern.path(os.path.abspath(self.base_path), host_name, port))

    def get_venv_paths(self, path: Path) -> list[Path]:
        """Return the site-packages directories of the vhost at ``path``. From loading threads."""
        venv = path / self.venv_name
        return sorted(venv.glob("lib/python*/site-packages"))

    def get_version(self, path: Path) -> object:
        """Return what is compared with ``==`` to see whether the vhost at ``path`` changed.

        An override decides alone, and is asked every ``update_interval`` seconds besides after
        each change that was noticed. FileNotFoundError says that the vhost is gone. Called from
        ``van-files``, for all vhosts in turn, and from loading threads.
        """
        return measure(self._rules.target(path), self._ignore)

    def get_isolation(self, path: Path) -> str:
        """Return "auto", "imports" or "process" for the vhost at ``path``. From loading threads.

        By default that is the setting, of the router or of the vhost.
        """
        return self._rules.granted(path).settings.isolation

    def get_python(self, path: Path) -> Path:
        """Return the interpreter of the vhost's worker process. Called from loading threads.

        Without an environment that is the one that this process's own was made with; it then runs
        without what is installed for it.
        """
        venv = path / self.venv_name
        if venv.exists():
            return venv / "bin" / "python"
        return Path(base_python())

    def not_found(self, environ: Environ, start_response: StartResponse) -> Response:
        """Answer for a vhost that does not exist; a WSGI application."""
        return answers.short(environ, start_response, "404 Not Found")

    def unavailable(self, environ: Environ, start_response: StartResponse) -> Response:
        """Answer for a vhost that cannot be served; a WSGI application.

        ``environ["mod_wsgi_van.status"]`` is the status to send: 500 when it failed to load, 503
        while it is still loading or has all threads that it may have, then with
        ``environ["mod_wsgi_van.retry_after"]`` seconds.
        """
        status = environ.get(answers.STATUS, "503 Service Unavailable")
        return answers.short(environ, start_response, status, environ.get(answers.RETRY_AFTER))

    # Requests

    def application(self, environ: Environ, start_response: StartResponse) -> Response:
        """The WSGI application of all vhosts."""
        if leftovers:
            undo()
        # One read of the site's reference decides what answers this request; the lease in its
        # environ keeps that from being retired before the request is over.
        try:
            site = self._sites.memo[environ["HTTP_HOST"]]
        except KeyError:
            release = self._find(environ, None)
        else:
            next(site.requests)
            release = site.answer or self._find(environ, site)
        environ[RELEASE] = release.lease
        # A request that is alone, as far as the lease tells, holds no more than its site may.
        if getrefcount(release.lease) > release.unasked and not self._shares.take(release):
            del environ[RELEASE]
            return self._busy.application(environ, start_response)
        return release.application(environ, start_response)

    def _find(self, environ: Environ, counted: Site | None) -> Release | Answer:
        """The slow path: parse the host, find its site, load it or wait for whoever does.

        ``counted``: the site that the request was counted for.
        """
        header, host = environ.get("HTTP_HOST"), ""
        try:
            self._engine.start(environ)
        except Exception as error:
            self._engine.complain(
                str(error) if isinstance(error, WatchError) else _NO_THREAD.format(error)
            )
            return self._broken
        try:
            name = normalise(header if header is not None else environ.get("SERVER_NAME", ""))
            host = self._aliases.site(name)
            path = self._server_path(host, environ)
        except BadHost:
            return self._bad_request
        except BaseException as error:
            self._engine.complain(
                f"VAN008: get_server_path({host!r}) raised {error!r}; requests get 500 until it"
                " answers"
            )
            return self._broken
        try:
            site, release = self._engine.release(host, path)
        except RuntimeError as error:
            self._engine.complain(_NO_THREAD.format(error))
            return self._busy
        if site is not counted:
            next(site.requests)
        if header is not None and not self._pattern.uses_port:
            self._sites.remember(header, site)
        if release is None:
            site.tally.note("refused", "loading")
            return self._busy
        return release

    def _server_path(self, host: str, environ: Environ) -> Path:
        if self._pattern.uses_port and type(self).get_server_path is Router.get_server_path:
            return self.get_server_path(host, int(environ.get("SERVER_PORT") or 80))
        path = Path(self.get_server_path(host))
        if "\0" in str(path):
            raise ValueError(f"a path with a NUL was returned: {str(path)!r}")
        return path

    def _answer_not_found(self, environ: Environ, start_response: StartResponse) -> Response:
        return self.not_found(environ, start_response)

    def _answer_busy(self, environ: Environ, start_response: StartResponse) -> Response:
        environ[answers.STATUS] = "503 Service Unavailable"
        environ[answers.RETRY_AFTER] = "5"
        return self.unavailable(environ, start_response)

    def _answer_maintenance(self, environ: Environ, start_response: StartResponse) -> Response:
        environ[answers.STATUS] = "503 Service Unavailable"
        environ[answers.RETRY_AFTER] = answers.MAINTENANCE
        return self.unavailable(environ, start_response)

    def _answer_broken(self, environ: Environ, start_response: StartResponse) -> Response:
        environ[answers.STATUS] = "500 Internal Server Error"
        return self.unavailable(environ, start_response)

    # Life

    def load(self, host_name: str) -> bool:
        """Load a vhost as its first request would; whether it can answer. From any thread.

        In maintenance: whether it could. Waits for load_timeout at most; why it cannot answer is in
        the log. Raises errors.BadHost, errors.WatchError, and RuntimeError when no thread is to be
        had.
        """
        host = self._aliases.site(normalise(host_name))
        path = self._server_path(host, {})
        self._engine.start({})
        site, _ = self._engine.release(host, path)
        if site.maintenance is not None and (attempt := site.attempt) is not None:
            attempt.done.wait(self.load_timeout)
        return isinstance(site.release, Release)

    def shutdown(self) -> None:
        """End the threads and run the exit handlers of all releases.

        Called by mod_wsgi or atexit when the process ends; may be called twice. What is loaded
        goes on answering, nothing is loaded or reloaded any more.
        """
        self._engine.shutdown()
