"""new and remove: nothing is lost that exists, and what is removed can be made again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router, cli, config
from mod_wsgi_van.cli import deploying
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.user import Users
from tests.support.client import get
from tests.support.vhosts import site
from tests.support.waiting import wait


@pytest.fixture
def home(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A site that is not there, of whoever runs the tests."""
    monkeypatch.setattr(deploying, "users", lambda home, of: Users())
    base, status, file = open_path / "www", open_path / "status", open_path / "van.toml"
    base.mkdir()
    status.mkdir()
    file.write_text(f'base_path = "{base}"\nstatus_directory = "{status}"\ngrace_period = 20\n')
    monkeypatch.setenv(config.ENVIRONMENT, str(file))
    return Home(base, "shop.test")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def router() -> Iterator[Any]:
    made = []

    def make() -> Router:
        made.append(Router.from_config())
        return made[-1]

    yield make
    for each in made:
        each.shutdown()


def test_a_site_comes_and_goes(home: Home, router: Any, capsys: pytest.CaptureFixture[str]) -> None:
    application = router().application
    assert get(application, home.site).status == 404
    for _ in range(2):
        assert cli.main(["new", home.site]) == 0
        said = capsys.readouterr().out
        assert f"http://{home.site}/ is served from {home.link}" in said
        wait(lambda: get(application, home.site).status == 200, "the site")
        assert get(application, home.site).body == f"{home.site} is served by mod_wsgi_van\n"
        assert cli.main(["new", home.site]) == 1
        assert f"{home.link} exists" in capsys.readouterr().err
        assert cli.main(["remove", home.site, "--yes"]) == 0
        assert "none of 1 daemon processes has it" in capsys.readouterr().out
        assert get(application, home.site).status == 404
        assert list(home.base.iterdir()) == [home.path.parent]
        assert list(home.path.parent.iterdir()) == []
    assert cli.main(["remove", home.site, "--yes"]) == 1
    assert "there is no site" in capsys.readouterr().err


def test_what_is_shared_is_kept(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new", home.site]) == 0
    (home.shared / ".env").write_text("A=b")
    assert cli.main(["remove", home.site, "--yes", "--keep-shared"]) == 0
    assert "not asked: no daemon process listens" in capsys.readouterr().out
    assert not home.link.is_symlink()
    assert {each.name for each in home.path.iterdir()} == {"shared", ".lock"}
    assert cli.main(["new", home.site]) == 0
    assert (home.link / ".env").read_text() == (home.link / "shared/.env").read_text() == "A=b"


def test_requests_come_to_their_end(
    home: Home, router: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are there as long as a request has the release."""
    assert cli.main(["new", home.site]) == 0
    application = router().application
    environ: dict[str, Any] = {"HTTP_HOST": home.site, "REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    wait(lambda: get(application, home.site).status == 200, "the site")
    list(application(environ, lambda *head: None))
    removing = os.fork()
    if not removing:
        os._exit(cli.main(["remove", home.site, "--yes"]))
    try:
        wait(lambda: get(application, home.site).status == 404, "404")
        assert home.path.is_dir() and os.waitpid(removing, os.WNOHANG) == (0, 0)
    finally:
        environ.clear()
        assert os.waitpid(removing, 0)[1] == 0
    assert not home.path.exists()


def test_what_no_deploy_has_made_stays(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    site(home.base, "plain.test")
    for name, command in ("plain.test", "new"), ("plain.test", "remove"), ("gone.test", "remove"):
        assert cli.main([command, name, *["--yes"][: command == "remove"]]) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert "plain.test exists" in first and "is a directory that no deploy has made" in second
    assert "there is no site gone.test" in third
    assert (home.base / "plain.test/wsgi/app.py").exists()
    assert cli.main(["new", home.site]) == 0
    assert cli.main(["remove", home.site]) == 2  # nobody can be asked
    assert home.link.is_dir()


def test_a_removal_that_was_killed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    left = home.path.with_name(f".{home.site}.gone") / "releases/1"
    left.mkdir(parents=True)
    assert cli.main(["remove", home.site, "--yes"]) == 0
    assert "removed what was left" in capsys.readouterr().out
    assert not left.parent.parent.exists()
    assert cli.main(["new", home.site]) == 0
    home.link.unlink()  # as one has left it that was killed while it waited
    assert cli.main(["remove", home.site, "--yes"]) == 0
    assert not home.path.exists()
