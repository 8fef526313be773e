"""The commands new and remove."""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from pathlib import Path

import click

from mod_wsgi_van.cli import subject
from mod_wsgi_van.cli.deploying import Show, named
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.deploy import removal, upkeep
from mod_wsgi_van.deploy.deployment import Deployment, Wanted
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.templates import TEMPLATES


@click.command("new")
@click.argument("site")
@click.option(
    "--from",
    "kind",
    type=click.Choice(list(TEMPLATES)),
    default="plain",
    help="what it begins with (default: plain, which needs no package)",
)
@click.option("--python", default="", metavar="VERSION", help="for its environment, such as 3.13")
@click.option("--user", default="", help="whose site it is, for root; default: the daemon's user")
@subject.CONFIG
def new_command(site: str, kind: str, python: str, user: str, config: str | None) -> int | None:
    """Make SITE with a first release that runs, as a deploy makes it."""
    home = subject.home(site, subject.settings(config))
    _check(home)
    return subject.guarded(lambda: _make(home, kind, python, user, config))


def _check(home: Home) -> None:
    """Nothing that exists is touched. Raises Problem."""
    if not home.base.is_dir():
        raise Problem(f"base path {home.base} is not a directory: mod-wsgi-van setup makes it")
    standing = home.standing()
    if standing != "nothing":
        raise Problem(f"{home.link} exists: mod-wsgi-van deploy {home.site} SOURCE changes it")
    if home.live() or home.whole():
        raise Problem(f"{home.path} has releases: mod-wsgi-van activate {home.site} ID, or remove")


def _make(home: Home, kind: str, python: str, user: str, config: str | None) -> None:
    if user:
        _give(home, user)
    of = named(home.site, config)
    with tempfile.TemporaryDirectory(prefix="van-") as directory:
        source = Path(directory, kind)
        files = dict(TEMPLATES[kind])
        if python:  # what asks for an environment is a file that names packages, or none
            files = {".python-version": f"{python}\n", "requirements.txt": "", **files}
        for name, text in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        Show(False).steps(Deployment(of, Wanted(str(source), check="/")), [])
    owner = f", whose files are {of.users.files}'s" if of.users.files else ""
    click.echo(f"\nhttp://{home.site}/ is served from {home.link}{owner}.")
    click.echo(f"Its next release: mod-wsgi-van deploy {home.site} DIRECTORY, ARCHIVE OR GIT-URL")


def _give(home: Home, user: str) -> None:
    if os.geteuid():
        raise click.UsageError("--user is for root: a site of yours is made by you")
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise click.BadParameter(f"there is no user {user}") from None
    upkeep.prepare(home, entry.pw_uid, entry.pw_gid)
    if (found := home.path.owner()) != user:
        raise Problem(f"{home.path} is {found}'s: remove it first")


@click.command("remove")
@click.argument("site")
@click.option("--yes", is_flag=True, help="do not ask")
@click.option("--keep-shared", is_flag=True, help="keep what is in shared/, such as .env")
@subject.CONFIG
def remove_command(site: str, yes: bool, keep_shared: bool, config: str | None) -> int | None:
    """Remove SITE, which was deployed: first its link, then, when nobody has it, its files."""
    home = subject.home(site, subject.settings(config))
    finished = removal.finish(home)
    if found := removal.obstacle(home):
        if finished and home.standing() == "nothing":
            click.echo(f"removed what was left of {home.path}")
            return None
        raise Problem(found)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: --yes says that it is meant")
        what = f"its {len(home.whole())} releases" + ("" if keep_shared else f" and {home.shared}")
        click.confirm(f"Remove {home.link}, {what}?", abort=True)
    of = named(site, config)
    return subject.guarded(lambda: removal.remove(of, keep_shared, click.echo))
