"""Looks for what keeps sites from being served: Apache, the machine, the settings, each site.

It changes nothing. Only root can look with the eyes of the daemon's user.
"""

from __future__ import annotations

import ast
import os
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
from mod_wsgi_van.settings import Settings

_INSTALLED = "Apache and mod_wsgi are installed"
_VALID = "the settings are valid"


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
            server = directives.ask(self._order.command)
            yield from servers.general(server)
            if server.fault:
                return
            daemons = servers.daemons(server)
            yield from self._server(found, server, daemons)
        daemon = daemons[0] if daemons else None
        user = daemon.user if daemon and os.geteuid() == 0 else ""
        try:
            router = _router(self._order, daemon)
        except ValueError as error:
            yield judged("settings", _VALID, str(error), "mend the line")
            return
        yield judged("settings", _VALID, "", "")
        yield from machine.base(os.path.abspath(router.base_path), user)
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
        names = hosts(base) if os.path.isdir(base) else []
        yield from machine.limits(len(names))
        loads = self._order.load and self.sound
        for name in self._order.sites or names if self.sound else ():
            examination = Examination(router, name, user)
            found = list(examination.findings())
            yield from found
            if loads and all(each.state != "problem" for each in found):
                yield examination.load([_python(daemon)])


def _pid(server: Server) -> int | None:
    try:
        return int(Path(server.pid_file).read_text())
    except (OSError, ValueError):
        return None


def _python(daemon: Daemon | None) -> str:
    """The daemon's own Python, as far as one is known."""
    home = daemon.option("python-home") if daemon else ""
    return os.path.join(home, "bin/python") if home else sys.executable


def _router(order: Scope, daemon: Daemon | None) -> Router:
    """A router with the settings of the daemon's; raises ValueError where they are wrong."""
    if order.config is None and daemon is not None:
        given = _given(Path(daemon.script))
        if given is not None:
            return Router(**given)
    return Router.from_config(order.config)


def _given(script: Path) -> dict[str, Any] | None:
    """The settings in the text of a wsgi file, None where it takes them from van.toml."""
    try:
        nodes = ast.walk(ast.parse(script.read_text()))
        calls = [node for node in nodes if isinstance(node, ast.Call) and _is_router(node)]
    except (OSError, SyntaxError, ValueError):
        return None
    if not calls:
        return None
    known = {each.name for each in fields(Settings)}
    settings: dict[str, Any] = {}
    for keyword in calls[0].keywords:
        if keyword.arg in known:
            settings[keyword.arg] = ast.literal_eval(keyword.value)
    return settings


def _is_router(node: ast.Call) -> bool:
    return ast.unparse(node.func).endswith("Router")
