"""The commands maintenance and run."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

import click

from mod_wsgi_van.cli import subject
from mod_wsgi_van.cli.apache import ENVIRON
from mod_wsgi_van.cli.deploying import ask
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.deploy import upkeep
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.reports import await_maintenance
from mod_wsgi_van.deploy.user import as_user, become, users
from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.own import OwnFiles, secrets
from mod_wsgi_van.files.target import mark
from mod_wsgi_van.isolation.variables import passed_on
from mod_wsgi_van.limits import grant
from mod_wsgi_van.reload.maintenance import PAGES
from mod_wsgi_van.settings import Settings

# Of root's variables a command that runs as another user gets these.
_KEPT = ("LANG", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "TZ")


@click.command("maintenance")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.argument("site")
@subject.CONFIG
def maintenance_command(state: str, site: str, config: str | None) -> int | None:
    """Have SITE answer 503 with its maintenance.html, or serve again.

    Apache is not changed, nothing is loaded again, and deploys go on meanwhile.
    """
    of = subject.settings(config)
    home = subject.home(site, of)
    wanted = state == "on"

    def maintain() -> None:
        said = _maintain(home, of, wanted)
        click.echo(said)
        click.echo(await_maintenance(lambda: ask(of.status_directory, site), wanted))

    return subject.guarded(maintain)


def _maintain(home: Home, of: Settings, wanted: bool) -> str:
    file = Path(mark(home.link))
    if not wanted and not file.exists():
        return f"{home.site} is not in maintenance"
    if wanted and not os.path.isdir(home.link):
        raise Problem(f"there is no site {home.link}: mod-wsgi-van new {home.site}")
    try:
        files = _prepare(home, of)
        as_user(files, file.touch if wanted else file.unlink)
    except (OSError, RuntimeError) as error:
        if isinstance(error, DeployFailed):
            raise
        raise Problem(
            f"{home.site}: {file} cannot be changed: {error}; do it as root, or as who owns"
            f" {home.path}"
        ) from error
    if not wanted:
        return f"{home.site} serves again"
    page = next((path for name in PAGES if (path := home.link / name).exists()), None)
    what = page or f"a short text, for it has no {PAGES[0]}"
    return f"{home.site} answers 503 from now on, with {what}"


def _prepare(home: Home, of: Settings) -> str:
    """Make the home of a site where it has none; returns whose files are there."""
    files = users(home, of).files
    upkeep.prepare(home, *(pwd.getpwnam(files)[2:4] if files else (-1, -1)))
    return files


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("site")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@subject.CONFIG
def run_command(site: str, command: tuple[str, ...], config: str | None) -> None:
    """Run COMMAND as SITE would: its user, directory, environment, [env] and shared/.env.

    For example: mod-wsgi-van run shop.domain.org -- python manage.py migrate
    """
    of = subject.settings(config)
    home = subject.home(site, of)
    command = command[command[0] == "--" :]
    try:
        user = users(home, of).code
        become(user)  # for good, and before anything of the site is read
        environ = _environ(home, of, user)
        program = shutil.which(command[0], path=environ["PATH"]) if command else ""
        if not program:
            raise Problem(
                f"{site}: there is no command {' '.join(command[:1])} in {environ['PATH']}"
            )
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and an exec leaves that so
            signal.signal(ignored, signal.SIG_DFL)
        os.execve(program, command, environ)
    except (LoadError, DeployFailed, OSError) as error:
        raise Problem(f"{site}: {error}") from error


def _environ(home: Home, of: Settings, user: str) -> dict[str, str]:
    """The variables of a command; goes to the directory of the site. Raises LoadError, OSError."""
    own = OwnFiles().settings(home.link)
    wanted = {**own.get("env", {}), **secrets(home.link)}
    environ = passed_on(_KEPT if user else ("*",), os.environ)
    if user:
        environ |= {"USER": user, "LOGNAME": user, "HOME": pwd.getpwnam(user).pw_dir}
        environ |= {"PATH": ENVIRON["PATH"], "SHELL": "/bin/sh"}
    environ |= passed_on(of.process_environ, {})
    environ |= grant(of, home.site, {**own, "env": wanted}).settings.env
    os.chdir(os.path.realpath(home.link))
    environ["PWD"] = os.getcwd()
    venv = os.path.realpath(of.venv_name)
    path = environ.get("PATH", os.defpath)
    if os.path.isdir(venv):
        environ["VIRTUAL_ENV"], path = venv, f"{venv}/bin{os.pathsep}{path}"
    environ["PATH"] = path
    return environ
