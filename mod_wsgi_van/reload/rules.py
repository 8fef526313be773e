"""The layout of each site, and the settings that hold there: the router's with the site's own.

Called from loading threads and ``van-files``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.chain import identify, resolve
from mod_wsgi_van.files.own import NAME, SECRETS, OwnFiles, secrets
from mod_wsgi_van.files.target import Layout, Target
from mod_wsgi_van.isolation.variables import passed_on
from mod_wsgi_van.limits import Granted, grant
from mod_wsgi_van.settings import Settings

_KNOWN = 10_000  # names that are remembered


class Rules:
    """``host`` tells the name of the site at a path, "" where there is none.

    ``path`` tells where the site of a name is.
    """

    def __init__(
        self, settings: Settings, host: Callable[[Path], str], path: Callable[[str], Path]
    ) -> None:
        self.venv_name = settings.venv_name
        self._settings = settings
        self._host = host
        self._path = path
        # These three are written by any thread: what two of them find at once is equal.
        # Names in the administrator's table -> where these sites are, and the device and inode that
        # each had when it was loaded last.
        self._decided: dict[str, str] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._names: dict[Path, str] = {}  # found there, when the site was loaded last
        self._layout = Layout(settings.wsgi_dir, settings.venv_name, (NAME, SECRETS))
        self._own = OwnFiles()

    def wsgi(self, path: Path) -> str:
        """Return the absolute path of the wsgi directory, symlinks and all."""
        return self._layout.wsgi(path)

    def target(self, path: Path, files: tuple[str, ...] = ()) -> Target:
        """Return what decides the code of a site.

        ``files``: what the traceback of a failed attempt named. What stands in a van.toml that
        is wrong does not count.
        """
        try:
            settings = self.granted(path).settings
        except LoadError:
            settings = grant(self._settings, self._name(path), {}).settings
        ignored = settings.watch_ignore[len(self._settings.watch_ignore) :]
        target = self._layout.target(path, settings.watch_paths, ignored)
        return replace(target, files=(*target.files, *files)) if files else target

    def granted(self, path: Path) -> Granted:
        """Return the settings of a site, without its secrets; raises errors.LoadError."""
        return grant(self._settings, self._name(path), self._own.settings(path))

    def for_release(self, path: Path) -> Granted:
        """Return the settings of a site with all its variables; raises errors.LoadError.

        What the daemon passes on to its workers is not for a site to set.
        """
        self._settle(path)  # it may be another one's name by now
        own = self._own.settings(path)
        wanted = {**own.get("env", {}), **secrets(path)}
        environ = os.environ if self._settings.site_user == "daemon" else {}
        daemons = passed_on(self._settings.process_environ, environ).keys()
        env = {name: value for name, value in wanted.items() if name not in daemons}
        granted = grant(self._settings, self._name(path), {**own, "env": env} if wanted else own)
        taken = (f"{name} is set by the daemon" for name in sorted(wanted.keys() & daemons))
        return replace(granted, capped=(*granted.capped, *taken))

    def _name(self, path: Path) -> str:
        """The name that an administrator has given to the directory at ``path``, else its own."""
        host, sites = self._host(path), self._settings.sites
        if not sites or host in sites:
            return host
        if path not in self._names:
            self._settle(path)
        return self._names.get(path, host)

    def _settle(self, path: Path) -> None:
        """Find the name of the site at ``path`` in the administrator's table."""
        host, sites = self._host(path), self._settings.sites
        if not sites:
            return
        found = identify(str(path))
        if host in sites:
            if found is not None:
                self._places[host] = found[:2]
            return
        name = self._namesake(path, found[:2] if found is not None else None)
        if len(self._names) >= _KNOWN:
            self._names.clear()
        self._names[path] = name or host

    def _namesake(self, path: Path, place: tuple[int, int] | None) -> str:
        """The name in the administrator's table that leads to the same directory, or "".

        No other site is looked at: its file system may not answer. So the name is one of those on
        the way from ``path``, or that of a site that was loaded from the same directory.
        """
        top, hops = os.path.dirname(path), resolve(str(path)).hops
        way = {os.path.join(*hop) for hop in hops}
        # The directory of all sites may be reached by a symlink, of which the way knows the end.
        tops = {where for where, name in hops if name == path.name}
        for name in self._settings.sites:
            if name not in self._decided:
                self._decided[name] = str(self._path(name))
            decided = self._decided[name]
            beside = os.path.dirname(decided) == top
            also = {os.path.join(each, os.path.basename(decided)) for each in tops if beside}
            if not way.isdisjoint({decided, *also}) or place == self._places.get(name, ()):
                return name
        return ""
