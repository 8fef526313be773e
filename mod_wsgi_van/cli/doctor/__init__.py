"""Looks for what keeps sites from being served: Apache, the machine, the settings, each site.

It changes nothing. Only root can look with the eyes of the daemon's user.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mod_wsgi_van import Router
from mod_wsgi_van.cli import apache
from mod_wsgi_van.cli.doctor import directives, machine
from mod_wsgi_van.cli.doctor import server as servers
from mod_wsgi_van.cli.doctor.directives import Server
from mod_wsgi_van.cli.doctor.finding import Finding, judged
from mod_wsgi_van.cli.doctor.server import Daemon
from mod_wsgi_van.cli.doctor.site import Examination, hosts
from mod_wsgi_van.cli.problem import Unusable
from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.reading import read
from mod_wsgi_van.settings import Settings

_INSTALLED = "Apache and mod_wsgi are installed"
_VALID = "the settings are valid"
_ROUTER = re.compile(r"\bRouter(\.from_config)?$")
_SIZE = 1 << 20  # bytes of a wsgi file


@dataclass(frozen=True, slots=True)
class Scope:
    """``sites``: the names to look at, none for all; ``command``: how to ask Apache."""

    sites: tuple[str, ...] = ()
    load: bool = False
    command: Sequence[str] = ("apache2ctl",)
    config: str | None = None  # van.toml; None for the place where the router looks


def examine(order: Scope) -> Iterator[Finding]:
    """Every finding, in the order in which a remedy makes sense; causes without their effects."""
    visit = _Visit(order)
    for each in visit.findings():
        visit.sound = visit.sound and each.state != "problem"
        yield each


class _Visit:
    """One examination. ``sound`` until a problem was found."""

    def __init__(self, order: Scope) -> None:
        self._order = order
        self.sound = True

    def findings(self) -> Iterator[Finding]:
        server, daemons = None, list[Daemon]()
        try:
            found = apache.find()
            yield judged("apache", _INSTALLED, "", "")
        except Unusable as error:
            yield judged("apache", _INSTALLED, str(error), "run what is named there")
        else:
            try:
                server = directives.ask(self._order.command)
            except (OSError, subprocess.TimeoutExpired) as error:
                server = Server(str(error), frozenset(), (), "")
            yield from servers.general(server)
            if server.fault:
                return
            daemons = servers.daemons(server)
            yield from self._server(found, server, daemons)
        daemon = daemons[0] if daemons else None
        user = daemon.user if daemon and os.geteuid() == 0 else ""
        try:
            router = _router(self._order, daemon)
        except _Unknown as error:
            remedy = "keep the settings in van.toml, and Router.from_config() in the wsgi file"
            yield judged("settings", _VALID, str(error), remedy, state="warning")
            return
        except ValueError as error:
            yield judged("settings", _VALID, str(error), "mend the line")
            return
        yield judged("settings", _VALID, "", "")
        yield from machine.base(os.path.abspath(router.base_path), user)
        yield machine.status(router, user)
        if router.site_user == "owner":
            yield machine.spawner(router, user)
        if server and daemon and self.sound:
            yield from servers.answers(server, daemon)
        yield from self._sites(router, daemon, user)

    def _server(
        self, found: apache.Apache, server: Server, daemons: list[Daemon]
    ) -> Iterator[Finding]:
        yield servers.ours(server)
        for daemon in daemons:
            yield from servers.configured(server, daemon)
        if daemons and daemons[0].group:
            yield from servers.python(server, found, daemons[0])
        if daemons:
            yield servers.script(daemons[0])
        yield machine.open_files(_pid(server))

    def _sites(self, router: Router, daemon: Daemon | None, user: str) -> Iterator[Finding]:
        base = os.path.abspath(router.base_path)
        # With another pattern the names of directories are not those of sites.
        all_names = os.path.isdir(base) and router.vhost_pattern == "%0"
        names = hosts(base) if all_names else []
        yield from machine.limits(len(names))
        loads = self._order.load and self.sound and (user or os.geteuid() != 0)
        for name in self._order.sites or names if self.sound else ():
            examination = Examination(router, name, user)
            found = []
            try:
                for each in examination.findings():
                    found.append(each)
                    yield each
            except (RuntimeError, OSError) as error:
                check, remedy = "it can be looked at", "mend what is named"
                found.append(judged("look", check, str(error), remedy, site=name))
                yield found[-1]
            if loads and all(each.state != "problem" for each in found):
                yield examination.load(_python(daemon))


def _pid(server: Server) -> int | None:
    try:
        return int(Path(server.pid_file).read_text())
    except (OSError, ValueError):
        return None


def _python(daemon: Daemon | None) -> str:
    """The daemon's own Python, as far as one is known."""
    home = daemon.option("python-home") if daemon else ""
    return os.path.join(home, "bin/python") if home else sys.executable


class _Unknown(Exception):
    """The settings cannot be told without running the wsgi file."""


def _router(order: Scope, daemon: Daemon | None) -> Router:
    """A router with the settings of the daemon's.

    Raises ValueError where they are wrong, _Unknown where the wsgi file computes them.
    """
    config = order.config
    if config is None and daemon is not None:
        call = _call(daemon.script)
        if call is not None and ast.unparse(call.func).endswith("Router"):
            return Router(**_literals(call, [each.name for each in fields(Settings)]))
        if call is not None:
            config = _literals(call, ["path"]).get("path")
    return Router.from_config(config)


def _call(script: str) -> ast.Call | None:
    """The call that makes the router in a wsgi file, None where none is seen."""
    try:
        nodes = ast.walk(ast.parse(read(script, _SIZE) or ""))
    except (LoadError, SyntaxError, ValueError, RecursionError):
        return None
    made = (node for node in nodes if isinstance(node, ast.Call))
    return next((node for node in made if _ROUTER.search(ast.unparse(node.func))), None)


def _literals(call: ast.Call, names: list[str]) -> dict[str, Any]:
    """The arguments of a call by their names."""
    given = [*zip(names, call.args, strict=False)]
    given += [(each.arg or "**", each.value) for each in call.keywords]
    try:
        return {name: ast.literal_eval(value) for name, value in given}
    except ValueError:
        text = f"line {call.lineno} of the wsgi file computes the settings of its router"
        raise _Unknown(text) from None
