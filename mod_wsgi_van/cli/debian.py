"""Debian's Apache: its directories, its commands, its Python, and whether it runs."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mod_wsgi_van.cli import apache
from mod_wsgi_van.cli.changes import Enabling, run
from mod_wsgi_van.cli.problem import Problem

CONFIGURATION = Path("/etc/apache2")
SERVICES = Path("/etc/systemd/system")
_DIRECTIVES = {
    "vhost_alias": "Virtual(Document|Script)",
    "rewrite": "Rewrite",
    "wsgi": "WSGI",
    "ssl": "SSL",
    "http2": "H2|Protocols",
    "md": "MD|<MD",
}


def check() -> apache.Apache:
    """Apache with mod_wsgi of this Python; raises Problem with what to run."""
    if not (CONFIGURATION / "sites-available").is_dir() or shutil.which("a2ensite") is None:
        raise Problem(
            "there is no Apache as Debian and Ubuntu have it (apt install apache2"
            " libapache2-mod-wsgi-py3); elsewhere, mod-wsgi-van config prints what to place by hand"
        )
    found = apache.find()
    ours, theirs = sys.version_info[:2], python_of(found.wsgi_module)
    if theirs and ours != theirs:
        wanted = "python{}.{}".format(*theirs)
        raise Problem(
            f"{found.wsgi_module} was built for Python {theirs[0]}.{theirs[1]}, and"
            f" {sys.prefix} has {ours[0]}.{ours[1]}: make the environment with {wanted} -m venv"
        )
    return found


def python_of(wsgi_module: str) -> tuple[int, int] | None:
    """The Python that a mod_wsgi is linked with, None when it does not say."""
    match = re.search(rb"libpython(\d)\.(\d+)\.so", Path(wsgi_module).read_bytes())
    return (int(match[1]), int(match[2])) if match else None


def module(name: str) -> Enabling:
    """A module of Apache, enabled."""
    witness = CONFIGURATION / f"mods-enabled/{name}.load"
    return Enabling(("a2enmod", "-q", name), ("a2dismod", "-q", name), str(witness))


def still_used(command: Sequence[str]) -> str:
    """Why a module that ``command`` disables must stay: other configuration has its directives."""
    if command[0] != "a2dismod" or not (words := _DIRECTIVES.get(command[-1])):
        return ""
    for directory in ("sites-enabled", "conf-enabled"):
        for path in sorted((CONFIGURATION / directory).glob("*.conf")):
            try:
                if re.search(rf"^\s*({words})", path.read_text(errors="replace"), re.M | re.I):
                    return f"{path} uses it"
            except OSError:
                pass
    return ""


def site(name: str) -> Enabling:
    """A site of Apache, enabled."""
    witness = CONFIGURATION / f"sites-enabled/{name}.conf"
    return Enabling(("a2ensite", "-q", name), ("a2dissite", "-q", name), str(witness))


def service(name: str) -> Enabling:
    """A service of systemd's, enabled and started."""
    do, undo = ("systemctl", "enable", "--now", name), ("systemctl", "disable", "--now", name)
    return Enabling(do, undo, str(SERVICES / f"multi-user.target.wants/{name}.service"))


def configtest() -> None:
    """Raises Problem with what Apache complains about."""
    run(["apache2ctl", "configtest"])


def reload() -> None:
    """Start Apache, or have it read its configuration anew. Raises Problem."""
    run(reloading())


def reloading() -> Sequence[str]:
    """The command that does so."""
    if Path("/run/systemd/system").is_dir():
        return ("systemctl", "reload-or-restart", "apache2")
    return ("apache2ctl", "-k", "graceful" if runs() else "start")


def runs() -> bool:
    """Whether Apache's first process is there."""
    try:
        os.kill(int(Path("/run/apache2/apache2.pid").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
