"""maintenance and run: what they change, whom a command runs as, and what it sees."""

from __future__ import annotations

import json
import os
import pwd
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.files.target import mark
from mod_wsgi_van.settings import Settings
from tests.cli.running import Command
from tests.support.client import get, wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
Start = Callable[..., Command]
LOOK = (
    "import json, os; print(json.dumps([os.getcwd(), os.getuid(), os.getgroups(),"
    " dict(os.environ)]))"
)
SEES = ("/usr/bin/python3", "-c", LOOK)


@pytest.fixture
def config(base: Path) -> Path:
    file = base.parent / "van.toml"
    status = base.parent / "status"
    status.mkdir()
    file.write_text(
        f'base_path = "{base}"\nstatus_directory = "{status}"\n'
        'process_environ = ["*", "SET=by the daemon"]\n'
    )
    return file


@pytest.fixture
def said(command: Start, config: Path) -> Callable[..., str]:
    """Run a command of these to its end; returns what it wrote."""

    def run(name: str, *arguments: str, status: int = 0) -> str:
        started = command(name, "--config", str(config), *arguments)
        assert started.wait() == status, started.text
        return started.text

    return run


def test_maintenance(said: Any, base: Path, make_router: Any) -> None:
    status = str(base.parent / "status")
    application = make_router(base_path=base, status_directory=status).application
    assert get(application, "a.example").body == "release 1"
    assert "serves 503" not in said("maintenance", "off", "a.example")
    assert "with a short text" in said("maintenance", "on", "a.example")
    assert get(application, "a.example").status == 503
    (base / ".releases/1/maintenance.html").write_text("later")
    page = base / "a.example/maintenance.html"
    assert f"answers 503 from now on, with {page}" in said("maintenance", "on", "a.example")
    wait_for(application, "a.example", "later")
    noticed = "1 of 1 daemon processes have noticed\n"
    assert said("maintenance", "off", "a.example") == f"a.example serves again\n{noticed}"
    assert get(application, "a.example").body == "release 1"
    assert said("maintenance", "off", "a.example").startswith("a.example is not in maintenance\n")


@needs_root
def test_the_mark_belongs_to_the_site(said: Any, base: Path) -> None:
    said("maintenance", "on", "a.example")
    file = Path(mark(base / "a.example"))
    assert file.owner() == file.parent.owner() == Settings.daemon_user
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755
    os.chown(file.parent, 1234, 1234)
    said("maintenance", "off", "a.example", status=1)


def test_what_is_not_to_be_had(said: Any, base: Path, config: Path) -> None:
    text = said("maintenance", "on", "b.example", status=1)
    assert text.count("\n") == 1 and f"there is no site {base}/b.example" in text
    assert not (base / ".sites").exists()
    said("maintenance", "on", "../x", status=2)
    config.write_text(config.read_text() + '[sites."a.example"]\naliases = ["www.a.example"]\n')
    assert "is a.example" in said("maintenance", "on", "www.a.example", status=2)
    assert "is a.example" in said("run", "A.example", "true", status=2)
    assert "No such file" in said("run", "b.example", "true", status=1)
    assert "there is no command nonesuch in" in said("run", "a.example", "nonesuch", status=1)


def test_a_command_sees_what_the_site_has(said: Any, base: Path) -> None:
    release = base / ".releases/1"
    (release / ".venv/bin").mkdir(parents=True)
    (release / ".venv/bin/look").symlink_to("/usr/bin/python3")
    (release / "van.toml").write_text('[env]\nOWN = "own"\nBOTH = "own"\n')
    (release / "shared").mkdir()
    (release / "shared/.env").write_text("BOTH=secret\n")
    where, uid, groups, environ = json.loads(said("run", "a.example", "--", "look", "-c", LOOK))
    assert where == environ["PWD"] == str(release)
    assert environ["VIRTUAL_ENV"] == f"{release}/.venv"
    assert environ["PATH"].split(":")[0] == f"{release}/.venv/bin"
    assert (environ["OWN"], environ["BOTH"], environ["SET"]) == ("own", "secret", "by the daemon")
    if os.geteuid() == 0:
        user = pwd.getpwnam(Settings.daemon_user)
        assert (uid, groups) == (user.pw_uid, [user.pw_gid])
        assert (environ["USER"], environ["HOME"]) == (user.pw_name, user.pw_dir)
        assert "TMPDIR" not in environ  # nothing of root's
    else:
        assert "TMPDIR" in environ


def test_it_becomes_the_command(said: Any, command: Start, config: Path) -> None:
    assert said("run", "a.example", "sh", "-c", "exit 7", status=7) == ""
    given = ("run", "--config", str(config), "a.example", "sh", "-c")
    started = command(*given, "echo Serving 0 on http://127.0.0.1:1/; exec sleep 60")
    started.wait_ready()
    assert started.end(signal.SIGTERM) == -signal.SIGTERM
    assert said("run", "a.example", "sh", "-c", "kill -PIPE $$", status=-signal.SIGPIPE) == ""


def test_no_secret_is_said(said: Any, base: Path) -> None:
    (base / ".releases/1/shared").mkdir()
    file = base / ".releases/1/shared/.env"
    file.write_text("FIRST=hidden\nhidden\n")
    text = said("run", "a.example", *SEES, status=1)
    assert f"{base}/a.example/shared/.env:2" in text and "hidden" not in text
    file.unlink()
    os.mkfifo(file)
    assert "is a FIFO" in said("run", "a.example", *SEES, status=1)
