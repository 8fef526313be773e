"""Deploys on a machine with Apache: what is live, what is not, and what a deploy leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.administration.asking import ask
from integration.administration.conftest import Setup
from integration.server.machine import Machine
from integration.server.programs import system_python

HOST = "shop.domain.org"
HOME = f"/var/www/.sites/{HOST}"
Deploy = Callable[..., str]

_APP = """
mkdir -p /srv/source/wsgi
cat > /srv/source/wsgi/app.py <<'END'
import os, pwd
USER = pwd.getpwuid(os.getuid()).pw_name
{begin}
def app(environ, start_response):
    start_response("{status}", [("Content-Type", "text/plain")])
    return [("{text} of " + USER).encode()]
END
"""
BROKEN = {
    "import": "import nothing_of_this_name",
    "syntax": "x = (",
    "exit": "raise SystemExit(1)",
}
_TRAPS = """
import io, sys, tarfile
for number, (name, kind, link) in enumerate([
    ("../../../../../../srv/trap", tarfile.REGTYPE, ""),
    ("/srv/trap", tarfile.REGTYPE, ""),
    ("wsgi/out", tarfile.SYMTYPE, "/srv"),
    ("wsgi/out", tarfile.SYMTYPE, "../../.."),
    ("wsgi/passwd", tarfile.LNKTYPE, "/etc/passwd"),
    ("wsgi/null", tarfile.CHRTYPE, ""),
]):
    with tarfile.open(f"/srv/{number}.tar", "w") as archive:
        archive.add("/srv/source/wsgi", "wsgi")
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
"""


def write(machine: Machine, text: str, begin: str = "", status: str = "200 OK") -> None:
    machine.shell(_APP.format(text=text, begin=begin, status=status))


@pytest.fixture
def deploy(bare: Machine, command: Path, setup: Setup) -> Deploy:
    """Run a command about the site; what it prints, its status is checked."""
    bare.shell("install -d -o www-data /run/mod_wsgi_van/status")
    setup()

    def run(*options: str, status: int = 0, verb: str = "deploy") -> str:
        done = bare.run(command, verb, HOST, *options)
        assert done.returncode == status, done.stdout
        return done.stdout

    return run


def test_a_site_from_nothing_to_its_second_release_and_back(bare: Machine, deploy: Deploy) -> None:
    write(bare, "one")
    said = deploy("/srv/source", "--check", "/")
    assert "loaded, GET / answered" in said and "is live since" in said
    assert ask(bare, HOST) == "200 one of www-data"
    write(bare, "two")
    said = deploy("/srv/source", "--json")
    done = json.loads(said)
    assert (done["error"], done["id"]) == ("", done["live"])
    assert "1 of 1 daemon processes have it live" in said
    assert ask(bare, HOST) == "200 two of www-data"
    assert "1 of 1 daemon processes have it live" in deploy(verb="rollback")
    assert ask(bare, HOST) == "200 one of www-data"
    assert done["id"] in deploy(verb="releases")
    deploy(done["id"], verb="activate")
    assert ask(bare, HOST) == "200 two of www-data"
    assert bare.shell(f"find {HOME} -not -user www-data; find {HOME} -perm /022 -not -type l") == ""
    lines = bare.shell(f"cut -d' ' -f2,3 {HOME}/revisions.log").splitlines()
    assert lines == ["root deploy", "root deploy", "root rollback", "root activate"]


@pytest.fixture
def live(bare: Machine, deploy: Deploy) -> Deploy:
    """The same, with a release that is live and that the daemon has loaded."""
    write(bare, "one")
    deploy("/srv/source")
    assert ask(bare, HOST) == "200 one of www-data"
    return deploy


def listing(machine: Machine) -> str:
    return machine.shell(f"find {HOME} -not -name .lock -printf '%p %l %i\\n' | sort")


@pytest.mark.parametrize("what", [*BROKEN, "check", "requirement"])
def test_what_is_broken_never_reaches_the_daemon(bare: Machine, live: Deploy, what: str) -> None:
    before, options = listing(bare), list[str]()
    write(bare, "two", BROKEN.get(what, ""), "500 Oh" if what == "check" else "200 OK")
    if what == "check":
        options = ["--check", "/"]
    if what == "requirement":
        bare.shell(
            "printf -- '--no-index\\nnothing-of-this-name\\n' > /srv/source/requirements.txt"
        )
    live("/srv/source", *options, status=1)
    assert ask(bare, HOST) == "200 one of www-data"
    bare.shell(f"rm -rf {HOME}/environments {HOME}/.cache")
    assert listing(bare).replace(f"{HOME}/environments", "") == before
    assert "VAN" not in bare.shell("grep -a domain.org: /var/log/apache2/error.log || true")


def test_what_fails_in_the_daemon_alone_is_taken_back(bare: Machine, live: Deploy) -> None:
    write(bare, "two", "assert '(wsgi:' not in open('/proc/self/cmdline').read()")
    said = live("/srv/source", status=1)
    assert "a daemon process could not load it: VAN002" in said
    assert "is live again" in said
    assert ask(bare, HOST) == "200 one of www-data"
    assert len(live(verb="releases").splitlines()) == 1


def test_archives_with_traps_are_refused(bare: Machine, live: Deploy) -> None:
    bare.run(system_python(), "-c", _TRAPS)
    before = listing(bare)
    for number in range(6):
        said = live(f"/srv/{number}.tar", status=1)
        assert said.startswith("mod-wsgi-van: '"), said
    assert listing(bare) == before
    assert bare.run("test", "-e", "/srv/trap").returncode == 1


def test_a_directory_is_adopted_as_the_command_says(
    bare: Machine, deploy: Deploy, command: Path
) -> None:
    bare.shell(f"mkdir -p /var/www/{HOST}/wsgi")
    write(bare, "old")
    bare.shell(f"cp /srv/source/wsgi/app.py /var/www/{HOST}/wsgi")
    assert ask(bare, HOST) == "200 old of www-data"
    write(bare, "new")
    said = deploy("/srv/source", status=1)
    assert ask(bare, HOST) == "200 old of www-data"
    steps = said.partition("then ")[2].strip().split(", and at once ")
    id = json.loads(deploy("/srv/source", "--no-activate", "--json"))["id"]
    bare.shell(steps[0])
    bare.shell(f"{command.parent}/{steps[1].replace('ID', id)}")
    assert ask(bare, HOST) == "200 new of www-data"


def test_a_git_repository_with_a_closed_umask(bare: Machine, deploy: Deploy, command: Path) -> None:
    write(bare, "one")
    git = "git -C /srv/source -c user.name=x -c user.email=x@x"
    bare.shell(f"git init -q /srv/source; {git} add .; {git} commit -qm x; {git} tag v1")
    write(bare, "two")
    done = bare.run("sh", "-c", f"umask 077; {command} deploy {HOST} /srv/source --ref v1")
    assert done.returncode == 0, done.stdout
    assert ask(bare, HOST) == "200 one of www-data"
