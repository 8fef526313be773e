"""The commands deploy, activate, rollback and releases."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import nullcontext
from typing import Any

import click
from rich.console import Console
from rich.markup import escape as plain
from rich.status import Status

from mod_wsgi_van import checks
from mod_wsgi_van.cli import asking, subject
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.deploy import revisions
from mod_wsgi_van.deploy.deployment import Deployment, Step, Wanted, held
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.reports import Said
from mod_wsgi_van.deploy.switching import Subject
from mod_wsgi_van.deploy.user import users
from mod_wsgi_van.lines import escape

_JSON = click.option("--json", "as_json", is_flag=True, help="one JSON object, for programs")


def named(site: str, path: str | None) -> Subject:
    """Find a site by its name and a van.toml; raises Problem, click.BadParameter."""
    settings = subject.settings(path)
    home = subject.home(site, settings)
    if settings.vhost_pattern != "%0":
        text = f'vhost_pattern is "{settings.vhost_pattern}": only with "%0" can be deployed'
        raise Problem(text)
    try:
        found = users(home, settings)
    except DeployFailed as error:
        raise Problem(str(error)) from error
    return Subject(home, settings, found, lambda: ask(settings.status_directory, site))


def ask(directory: str, site: str) -> Said:
    """What each daemon process says of the site."""
    try:
        told = asking.processes(directory, site=site)
    except Problem as error:
        return [error.message]
    return [each.error or next(iter(each.sites), {}) for each in told]


@click.command("deploy")
@click.argument("site")
@click.argument("source")
@click.option("--ref", default="", help="branch, tag or commit of a git repository (default: HEAD)")
@click.option(
    "--check",
    metavar="PATH",
    callback=lambda context, option, value: _path(value),
    help="GET this path first, in place of the site's check",
)
@click.option("--keep", default=5, type=click.IntRange(1), help="releases to keep (default: 5)")
@click.option("--no-activate", is_flag=True, help="make and prove the release, do not go live")
@click.option("--dry-run", is_flag=True, help="make and prove the release, then remove it")
@_JSON
@subject.CONFIG
def deploy_command(site: str, source: str, as_json: bool, config: str | None, **given: Any) -> int:
    """Make a release of SITE from SOURCE, prove it, and let it go live in one step.

    SOURCE is a directory, a tar, a zip or a git repository. Whatever fails, what was live stays
    live.
    """
    of = named(site, config)
    given["activate"], given["dry"] = not given.pop("no_activate"), given.pop("dry_run")
    deployment = Deployment(of, Wanted(source, **given))
    done: list[Step] = []
    fault = ""
    show = Show(as_json)
    try:
        subject.guarded(lambda: show.steps(deployment, done))
    except Problem as error:
        if not as_json:
            raise
        fault = error.message
    live = of.home.live()
    if as_json:
        steps = [dataclasses.asdict(each) for each in done]
        said = {"site": site, "id": deployment.id, "live": live, "error": fault, "steps": steps}
        click.echo(json.dumps(said))
        return 1 if fault else 0
    if deployment.wanted.dry:
        what = "was made, proven and removed"
    elif deployment.wanted.activate:
        what = f"is live since {time.strftime('%H:%M:%S')}"
    else:
        what = f"can go live: mod-wsgi-van activate {site} {deployment.id}"
    seconds = sum(each.seconds for each in done)
    click.echo(f"{site}: {deployment.id} {what} ({seconds:.2f} s in all)")
    return 0


def _path(given: str | None) -> str | None:
    try:
        return None if given is None else str(checks.request_path(given))
    except ValueError as error:
        raise click.BadParameter(f"{given!r}: {error}") from error


class Show:
    """Says what is being done: a line for each step, and on a terminal what is under way."""

    def __init__(self, silent: bool) -> None:
        self._console = Console(highlight=False, soft_wrap=True, quiet=silent)

    def steps(self, deployment: Deployment, done: list[Step]) -> None:
        terminal = self._console.is_terminal and not self._console.quiet
        with self._console.status("") if terminal else nullcontext() as status:
            for step in deployment.run(lambda name: _update(status, name)):
                done.append(step)
                note = plain(escape(step.note))
                self._console.print(f"[green]{step.name:12}[/green]{step.seconds:7.2f} s  {note}")


def _update(status: Status | None, name: str) -> None:
    if status is not None:
        status.update(name)


@click.command("activate")
@click.argument("site")
@click.argument("id")
@subject.CONFIG
def activate_command(site: str, id: str, config: str | None) -> int | None:
    """Let a release of SITE that is there go live; ID as in mod-wsgi-van releases SITE."""
    return subject.guarded(lambda: _activate(named(site, config), id, "activate"))


@click.command("rollback")
@click.argument("site")
@click.argument("id", required=False)
@subject.CONFIG
def rollback_command(site: str, id: str | None, config: str | None) -> int | None:
    """Let the release of SITE that was live before go live again, or the one of this ID."""
    return subject.guarded(lambda: _activate(named(site, config), id or "", "rollback"))


def _activate(of: Subject, id: str, what: str) -> None:
    with held(of):
        home = of.home
        live = home.live()
        if not live and not id:
            raise Problem(f"nothing is live of {home.site}: mod-wsgi-van deploy {home.site} SOURCE")
        id = id or of.as_owner(lambda: revisions.previous(home))
        if not id:
            raise Problem(f"{home.site} has no release that was live before {live}")
        if id not in home.whole():
            raise Problem(f"{home.site} has no release {id}: mod-wsgi-van releases {home.site}")
        said = of.switch(id, what)
    click.echo(f"{home.site}: {id} is live since {time.strftime('%H:%M:%S')}; {said}")


def _releases(home: Home) -> tuple[str, list[dict[str, Any]]]:
    live, known = home.live(), revisions.been_live(home)
    return live, [
        {"id": id, "live": id == live, "was_live": id in known, **revisions.about(home, id)}
        for id in reversed(home.whole())
    ]


@click.command("releases")
@click.argument("site")
@_JSON
@subject.CONFIG
def releases_command(site: str, as_json: bool, config: str | None) -> int:
    """List the releases of SITE, the newest first, and which one is live."""
    of = named(site, config)
    live, found = of.as_owner(lambda: _releases(of.home))
    if as_json:
        click.echo(json.dumps({"site": site, "live": live, "releases": found}))
        return 0
    if not found:
        raise Problem(f"{site} has no releases: mod-wsgi-van deploy {site} SOURCE")
    for each in found:
        state = "live" if each["live"] else "was live" if each["was_live"] else ""
        made = f"{each.get('source', '')} {str(each.get('revision', ''))[:12]}"
        click.echo(escape(f"{each['id']:20}{state:10}{made}".rstrip()))
    return 0
