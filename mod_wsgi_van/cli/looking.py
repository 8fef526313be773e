"""The commands status, list, logs and restart."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence

import click

from mod_wsgi_van import blocks
from mod_wsgi_van.cli import asking, errorlog, restarting, subject, tables
from mod_wsgi_van.cli.asking import Reply
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.cli.summing import BROKEN, Standing, standings
from mod_wsgi_van.errors import BadHost
from mod_wsgi_van.hosts import Aliases, normalise
from mod_wsgi_van.settings import Settings

_AGAIN = 2.0  # seconds between two looks of --watch
_ERROR_LOG = f"{blocks.Installation().log}/error.log"

_json = click.option("--json", "as_json", is_flag=True, help="one JSON object on each line")


@click.command("status")
@click.argument("site", required=False)
@click.option("--watch", is_flag=True, help=f"again every {_AGAIN:g} s, until Ctrl-C")
@_json
@subject.CONFIG
def status_command(site: str | None, watch: bool, as_json: bool, config: str | None) -> int:
    """Say what the daemon processes do, and each site; with SITE, all of that one.

    Exit status 1: no daemon process answers, or none knows SITE.
    """
    settings = subject.settings(config)
    name = _name(site, settings) if site else None
    show = _as_json if as_json else _as_text
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                text = "\n".join(show(asking.processes(settings.status_directory, site=name), name))
                if not as_json:
                    click.clear()
                click.echo(text)
                time.sleep(_AGAIN)
        return 0
    replies = asking.processes(settings.status_directory, site=name)
    click.echo("\n".join(show(replies, name)))
    for reply in replies:
        if reply.error:
            click.echo(f"mod-wsgi-van: {reply.error}", err=True)
    if not any(reply.process for reply in replies):
        raise Problem(_nobody(settings))
    if name and not any(reply.sites for reply in replies):
        raise Problem(f"{name}: no daemon process has met it: its first request loads it")
    return 0


@click.command("list")
@click.option("--failed", is_flag=True, help="those that failed, hold an old release, are refused")
@click.option("--python", metavar="VERSION", default="", help="those that run with it, as 3.8")
@_json
@subject.CONFIG
def list_command(failed: bool, python: str, as_json: bool, config: str | None) -> None:
    """List the sites: those of the daemon processes, and those that nobody has asked for yet."""
    settings = subject.settings(config)
    replies = asking.processes(settings.status_directory)
    if not any(reply.process for reply in replies):
        raise Problem(_nobody(settings))
    found = standings(replies)
    known = {standing.site for standing in found}
    found += [Standing(name, {}) for name in _there(settings) if name not in known]
    rows = []
    for each in sorted(found, key=lambda standing: standing.site):
        version = next(iter(each.values("python")), "")
        if failed and each.state not in BROKEN:
            continue
        if python and not f"{version}.".startswith(f"{python}."):
            continue
        rows.append((each.site, each.state, version or "-", each.release or "-"))
    heads = ("site", "state", "python", "release")
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(heads, row, strict=True))))
    elif rows:
        click.echo("\n".join(tables.columns([head.upper() for head in heads], rows)))


@click.command("logs")
@click.argument("site")
@click.option("-f", "--follow", is_flag=True, help="wait for more, through rotations")
@click.option("--file", metavar="FILE", default=_ERROR_LOG, help=f"(default: {_ERROR_LOG})")
@subject.CONFIG
def logs_command(site: str, follow: bool, file: str, config: str | None) -> None:
    """Show the lines of SITE in Apache's error log."""
    lines = errorlog.Lines(_name(site, subject.settings(config)))
    try:
        for line in errorlog.read(file, follow=follow):
            if lines.belongs(line):
                click.echo(line)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise Problem(f"{file}: {error.strerror}; --file names another log") from error


@click.command("restart")
@click.argument("site", required=False)
@click.option("--all", "everything", is_flag=True, help="all that are loaded, one after the other")
@subject.CONFIG
def restart_command(site: str | None, everything: bool, config: str | None) -> int | None:
    """Load SITE again as it is, beside what runs, and wait until that is live.

    Where no daemon process listens, the site's restart.txt or wsgi is touched.
    """
    if bool(site) == everything:
        raise click.UsageError("either SITE or --all is wanted")
    settings = subject.settings(config)
    if site:
        click.echo(restarting.restart(_name(site, settings), settings))
        return None
    replies = asking.processes(settings.status_directory)
    if not any(reply.process for reply in replies):
        raise Problem(_nobody(settings))
    failed = 0
    for each in standings(replies):
        if not each.release:
            continue
        try:
            click.echo(restarting.restart(each.site, settings))
        except Problem as error:
            failed += 1
            click.echo(f"mod-wsgi-van: {error.format_message()}", err=True)
    return 1 if failed else 0


def _name(site: str, settings: Settings) -> str:
    """The name of a site, of which ``site`` may be an alias."""
    try:
        aliases = {name: of.get("aliases", ()) for name, of in settings.sites.items()}
        return Aliases(aliases).site(normalise(site))
    except BadHost as error:
        raise click.BadParameter(str(error)) from error


def _nobody(settings: Settings) -> str:
    return (
        f"no daemon process listens in {settings.status_directory}: the directory has to be there"
        " when the process starts (mod-wsgi-van doctor), and the first request starts it"
    )


def _there(settings: Settings) -> Iterator[str]:
    """The sites that have a directory; with another pattern its name is not theirs."""
    if settings.vhost_pattern != "%0":
        return
    with os.scandir(settings.base_path) as entries:
        for entry in entries:
            wsgi = os.path.join(entry.path, settings.wsgi_dir)
            if not entry.name.startswith(".") and os.path.isdir(wsgi):
                yield entry.name


def _as_json(replies: Sequence[Reply], site: str | None) -> Iterator[str]:
    for reply in replies:
        yield json.dumps({"process": reply.process, "socket": reply.socket, "error": reply.error})
        for line in reply.sites:
            yield json.dumps({"pid": reply.process["pid"]} | line)


def _as_text(replies: Sequence[Reply], site: str | None) -> Iterator[str]:
    yield from tables.processes([reply for reply in replies if reply.process])
    found = standings(replies)
    if found:
        yield ""
    if site is None and found:
        yield from tables.sites(found)
    for each in found if site is not None else ():
        yield from tables.details(each)
