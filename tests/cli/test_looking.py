"""The commands status, list and restart, with a router in this process."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.cli import main
from tests.cli.running import Command
from tests.support.client import get
from tests.support.vhosts import app, site, write
from tests.support.waiting import wait

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def toml(open_path: Path) -> Path:
    """A van.toml for router and command."""
    (open_path / "status").mkdir()
    (open_path / "www").mkdir()
    path = open_path / "van.toml"
    path.write_text(
        f'base_path = "{open_path}/www"\nstatus_directory = "{open_path}/status"\nsettle = 0\n'
        '[sites."one.test"]\naliases = ["www.one.test"]\n'
    )
    return path


@pytest.fixture
def base(toml: Path) -> Path:
    site(toml.parent / "www", "one.test", "one")
    return toml.parent / "www"


@pytest.fixture
def router(toml: Path, base: Path) -> Iterator[Router]:
    router = Router.from_config(toml)
    get(router.application, "one.test")
    yield router
    router.shutdown()


@pytest.fixture
def run(toml: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--config", str(toml)])
        return status, *capsys.readouterr()

    return run


def test_status_shows_processes_and_sites(router: Router, run: Run, base: Path) -> None:
    status, out, _ = run("status")
    assert status == 0
    process, site_line = out.split("\n\n")
    assert str(os.getpid()) in process
    assert str(base) in process
    assert site_line.splitlines()[1].split()[:3] == ["one.test", "loaded", "one.test"]


def test_status_of_one_site_by_an_alias(router: Router, run: Run, base: Path) -> None:
    write(base / "one.test/wsgi/app.py", "raise RuntimeError('no \\x1b[2J database')\n")
    wait(lambda: "holding" in run("status")[1], "the failed reload")
    status, out, _ = run("status", "www.one.test")
    assert status == 0
    assert "isolation:       imports (it has no environment)\n" in out
    assert "requests:        1, 0 under way\n" in out
    assert "VAN002" in out
    assert "\x1b" not in out


def test_status_as_json(router: Router, run: Run) -> None:
    status, out, _ = run("status", "--json")
    process, line = map(json.loads, out.splitlines())
    assert status == 0
    assert process["process"]["pid"] == line["pid"] == os.getpid()
    assert line["site"] == "one.test"


def test_an_unknown_site_and_no_process(router: Router, run: Run) -> None:
    status, _, err = run("status", "two.test")
    assert (status, err.count("\n")) == (1, 1)
    assert "two.test: no daemon process has met it" in err
    router.shutdown()
    for command in ("status", "list"):
        status, _, err = run(command)
        assert status == 1
        assert "no daemon process listens in" in err


def test_a_process_that_does_not_answer_is_named(router: Router, run: Run, toml: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(toml.parent / "status/1"))
        silent.listen()
        status, out, err = run("status")
    assert status == 0
    assert "one.test" in out
    assert "status/1: no answer" in err


def test_list_knows_what_nobody_asked_for(router: Router, run: Run, base: Path) -> None:
    site(base, "two.test", "two")
    write(base / "bad.test/wsgi/app.py", "1 / 0\n")
    get(router.application, "bad.test")
    _, out, _ = run("list")
    names = [line.split()[:2] for line in out.splitlines()]
    assert names[1:] == [["bad.test", "failed"], ["one.test", "loaded"], ["two.test", "unloaded"]]
    _, out, _ = run("list", "--failed", "--json")
    (only,) = map(json.loads, out.splitlines())
    assert only == {"site": "bad.test", "state": "failed", "python": "-", "release": "-"}
    version = "{}.{}".format(*sys.version_info)
    assert "one.test" in run("list", "--python", version)[1]
    assert run("list", "--python", version[:-1])[1] == ""


def test_restart_loads_again_and_waits(router: Router, run: Run) -> None:
    status, out, _ = run("restart", "one.test")
    assert status == 0
    assert out.startswith("one.test was loaded again by 1 process")
    assert "loads:           2," in run("status", "one.test")[1]
    assert "one.test was loaded again" in run("restart", "--all")[1]


def test_restart_says_what_failed(router: Router, run: Run, base: Path) -> None:
    (base / "one.test/wsgi/app.py").chmod(0o644)
    ready = base / "ready"
    ready.touch()
    write(
        base / "one.test/wsgi/app.py",
        f"import os\nif not os.path.exists({str(ready)!r}): raise OSError('it is gone')\n"
        + app("two"),
    )
    wait(lambda: get(router.application, "one.test").body == "two", "the second release")
    ready.unlink()
    status, _, err = run("restart", "one.test")
    assert status == 1
    assert "VAN002" in err
    assert "it is gone" in err
    assert "the old release goes on" in err
    assert run("restart", "--all")[0] == 1


def test_restart_without_a_process_touches(run: Run, base: Path) -> None:
    wsgi = base / "one.test/wsgi"
    os.utime(wsgi, (0, 0))
    status, out, _ = run("restart", "one.test")
    assert status == 0
    assert f"touched {wsgi}" in out
    assert wsgi.stat().st_mtime > 0
    mark = base / "one.test/restart.txt"
    mark.touch()
    os.utime(mark, (0, 0))
    run("restart", "www.one.test")
    assert mark.stat().st_mtime > 0


def test_usage(run: Run) -> None:
    assert run("restart")[0] == 2
    assert run("status", "not..a..name")[0] == 2


def test_watching_and_following_end_with_ctrl_c(
    router: Router, toml: Path, base: Path, command: Callable[..., Command]
) -> None:
    watching = command("status", "--watch", "--config", str(toml))
    wait(lambda: "one.test" in watching.text, "the first look")
    write(base / "one.test/wsgi/app.py", "1 / 0\n")
    wait(lambda: "holding" in watching.text, "a later look")
    assert watching.end() == 0
    log = toml.parent / "error.log"
    log.write_text("[one.test] printed\n[two.test] printed\n")
    following = command("logs", "one.test", "-f", "--file", str(log), "--config", str(toml))
    wait(lambda: following.text == "[one.test] printed\n", "the line")
    assert following.end() == 0
    assert following.text == "[one.test] printed\n"
