"""Which site a command is about, and whose settings hold there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from mod_wsgi_van import config
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.errors import BadHost
from mod_wsgi_van.hosts import Aliases, Pattern, normalise
from mod_wsgi_van.settings import Settings

CONFIG = click.option(
    "--config", metavar="FILE", help=f"van.toml of the daemon (default: {config.PATH})"
)


def settings(path: str | None) -> Settings:
    """Those of the daemon; the defaults where nobody has written any. Raises Problem."""
    named = path or os.environ.get(config.ENVIRONMENT)
    try:
        return Settings(**config.load(named) if named or Path(config.PATH).exists() else {})
    except ValueError as error:
        raise Problem(str(error)) from error


def home(site: str, of: Settings) -> Home:
    """The home of a site, which need not exist. Raises click.BadParameter, Problem."""
    pattern, base = Pattern(of.vhost_pattern), os.path.abspath(of.base_path)
    try:
        name = normalise(site)
        path = Path(pattern.path(base, name))
    except BadHost as error:
        raise click.BadParameter(str(error)) from error
    aliases = Aliases({name: each.get("aliases", ()) for name, each in of.sites.items()})
    if (owner := aliases.site(name)) != site:
        raise click.BadParameter(f"the name of the site is {owner}")
    if pattern.uses_port:
        raise Problem(f'vhost_pattern "{of.vhost_pattern}" has a directory for each port')
    return Home(path.parent, path.name)


def guarded(work: Callable[[], int | None]) -> int | None:
    """Do what changes a site; a signal takes it back as any failure does."""
    os.umask(0o022)  # whoever closed it wants the daemon to read this all the same
    try:
        with Interruption():
            return work()
    except KeyboardInterrupt:
        raise Problem("interrupted") from None
    except (DeployFailed, RuntimeError) as error:
        raise Problem(str(error)) from error
