"""The commands setup, config and doctor."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files

import click
from rich.console import Console
from rich.markup import escape

from mod_wsgi_van import blocks
from mod_wsgi_van.blocks import Installation
from mod_wsgi_van.cli import doctor, setup
from mod_wsgi_van.cli.doctor.finding import Finding, State
from mod_wsgi_van.errors import BadHost
from mod_wsgi_van.hosts import normalise
from mod_wsgi_van.isolation.process import spawner
from mod_wsgi_van.settings import SITE_USER

_DEFAULT = Installation()
_FILES = {  # of cli/dashboard/prometheus
    "prometheus": "prometheus.yml",
    "alerts": "alerts.yml",
    "grafana": "grafana.json",
}
_CONFIG = ("apache", "systemd", "spawner", "logrotate", "tmpfiles", "dashboard", *_FILES)


@click.command("setup")
@click.option("--domain", default="", help="its sites are DOMAIN and *.DOMAIN")
@click.option("--base", default=_DEFAULT.base, help=f"their directory (default: {_DEFAULT.base})")
@click.option(
    "--tls",
    default="none",
    metavar="certbot|mod_md|CERTIFICATE,KEY|none",
    help="where HTTPS has its certificate from (default: none, HTTP only)",
)
@click.option("--email", default="", help="whom Let's Encrypt may write to")
@click.option(
    "--site-user",
    type=click.Choice(SITE_USER),
    default=SITE_USER[0],
    help="owner: each site runs as the owner of its directory (default: daemon)",
)
@click.option("--dry-run", is_flag=True, help="show every step and file, change nothing")
@click.option("--undo", is_flag=True, help="take back what setup made and nobody changed since")
def setup_command(
    domain: str,
    base: str,
    tls: str,
    email: str,
    site_user: str,
    dry_run: bool,
    undo: bool,
) -> int | None:
    """Configure Apache on Debian or Ubuntu, make a first site and fetch its page. As root.

    No file is changed that setup did not write itself. It can be run again. When a step fails, all
    of them are taken back.
    """
    if not (domain or undo):
        raise click.UsageError("--domain is needed: the sites will be DOMAIN and *.DOMAIN")
    if site_user == "owner" and tls == "certbot":
        raise click.UsageError(
            "certbot shows that it is you by a first site, which is not made here"
        )
    of = _installation(domain or _DEFAULT.domain, base, tls, email)
    plan = setup.Plan(replace(of, site_user=site_user), click.echo)
    if undo:
        setup.take_back(plan)
        return None
    if dry_run:
        setup.show(plan)
        return None
    setup.make(plan)
    click.echo()
    status = _tell(doctor.examine(doctor.Scope()), quiet=True)
    scheme = "http" if plan.of.tls == "none" else "https"
    path = f"{base}/NAME.{domain}"
    if site_user == "owner":
        click.echo(f"\nA site: mkdir -p {path}/wsgi, an app.py there, and chown -R OWNER: {path}")
    else:
        click.echo(f"\n{scheme}://{plan.host}/ is served from {base}/{plan.host}.")
        click.echo(f"The next site: mkdir -p {path}/wsgi, and an app.py there.")
    return 1 if status == 1 else 0


def _installation(domain: str, base: str, tls: str, email: str) -> Installation:
    certificate, comma, key = tls.partition(",")
    try:
        if tls == "files":
            raise ValueError("--tls CERTIFICATE,KEY names two files")
        return Installation(
            domain=domain,
            base=base.rstrip("/") or base,
            home=sys.prefix,
            email=email,
            tls="files" if comma else tls,
            certificate=certificate if comma else "",
            key=key,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@click.command("config")
@click.argument("block", type=click.Choice(_CONFIG))
@click.option("--domain", default=_DEFAULT.domain)
@click.option("--base", default=_DEFAULT.base)
@click.option("--tls", default="none", metavar="certbot|mod_md|CERTIFICATE,KEY|none")
@click.option("--email", default="")
def config_command(block: str, domain: str, base: str, tls: str, email: str) -> None:
    """Print a block of configuration, for those who place it themselves.

    apache: sites-available/van.conf; systemd: apache2.service.d/van.conf; spawner:
    mod-wsgi-van-spawner.service, for site_user = "owner"; logrotate: in place of Debian's rules, so
    that the nightly rotation keeps the daemon process; tmpfiles: tmpfiles.d/mod_wsgi_van.conf, for
    status and the like; dashboard: mod-wsgi-van-dashboard.service; prometheus, alerts, grafana:
    what reads its metrics.
    """
    if block in _FILES:
        text = (files("mod_wsgi_van.cli.dashboard") / "prometheus" / _FILES[block]).read_text()
        click.echo(text, nl=False)
        return
    of = _installation(domain, base, tls, email)
    texts = {
        "apache": blocks.apache,
        "spawner": blocks.spawner,
        "logrotate": blocks.logrotate,
        "tmpfiles": blocks.tmpfiles,
        "dashboard": blocks.dashboard,
    }
    click.echo(texts[block](of) if block in texts else blocks.systemd(), nl=False)


@click.command("spawner")
@click.option(
    "--config", metavar="FILE", default=spawner.CONFIG, help=f"(default: {spawner.CONFIG})"
)
def spawner_command(config: str) -> None:
    """Start workers as the owners of their sites, for the daemon. As root, by systemd."""
    # Nothing of what is imported here stays in the process that runs as root, nor any .pth file.
    os.execv(
        sys.executable, [sys.executable, "-I", "-S", spawner.__file__, os.path.abspath(config)]
    )


@click.command("doctor")
@click.argument("sites", metavar="[SITE]...", nargs=-1)
@click.option("--load", is_flag=True, help="load each site, in a process of its own")
@click.option("--json", "as_json", is_flag=True, help="one JSON object for each check, a line each")
@click.option("--config", metavar="FILE", help="van.toml in place of the daemon's")
@click.option(
    "--apache", default="apache2ctl", metavar="COMMAND", help="how to ask Apache (apache2ctl)"
)
def doctor_command(
    sites: tuple[str, ...], load: bool, as_json: bool, config: str | None, apache: str
) -> int:
    """Check what keeps sites from being served; with SITE, of these alone. Best run as root.

    Exit status 0: all is well, 1: a problem, 2: warnings only.
    """
    for name in sites:
        try:
            normalise(name)
        except BadHost as error:
            raise click.BadParameter(str(error)) from error
    findings = doctor.examine(doctor.Scope(sites, load, tuple(shlex.split(apache)), config))
    return _json(findings) if as_json else _tell(findings)


def _json(findings: Iterable[Finding]) -> int:
    states: set[State] = set()
    for each in findings:
        states.add(each.state)
        click.echo(json.dumps(dataclasses.asdict(each)))
    return _status(states)


def _tell(findings: Iterable[Finding], quiet: bool = False) -> int:
    console = Console(highlight=False, soft_wrap=True)
    colours = {"ok": "green", "warning": "yellow", "problem": "red"}
    states: set[State] = set()
    count = 0
    for each in findings:
        states.add(each.state)
        count += 1
        if quiet and each.state == "ok":
            continue
        what = f"{each.site}: {each.check}" if each.site else each.check
        colour = colours[each.state]
        console.print(f"Checking whether {escape(what)} ... [{colour}]{each.state}[/{colour}]")
        if each.says:
            console.print(f"    {escape(each.says)}")
            console.print(f"    to do: {escape(each.remedy)}")
    if states <= {"ok"}:
        console.print(f"All {count} checks are well.")
    return _status(states)


def _status(states: set[State]) -> int:
    return 1 if "problem" in states else 2 if "warning" in states else 0
