"""The commands that change what is live, without a deploy: integration/ has those."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mod_wsgi_van import cli, config
from mod_wsgi_van.deploy.layout import Home, point


@pytest.fixture
def home(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A site with three releases, of which the first two were live."""
    file = open_path / "van.toml"
    file.write_text(f'base_path = "{open_path}"')
    monkeypatch.setenv(config.ENVIRONMENT, str(file))
    home = Home(open_path, "shop.test")
    for id in ("1", "2", "3"):
        home.release(id).mkdir(parents=True)
        home.record(id).write_text('{"source": "shop.git", "revision": "0123456789abcdef"}')
    home.revisions.write_text("2026 ann deploy 1 before=-\n2026 ann deploy 2 before=1\n")
    point(home.current, "releases/2")
    point(home.link, home.link_text)
    if os.geteuid() == 0:
        for path in (home.path, *home.path.rglob("*")):
            shutil.chown(path, "www-data")
    return home


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_releases_says_which_one_is_live(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["releases", home.site]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3                             shop.git 0123456789ab",
        "2                   live      shop.git 0123456789ab",
        "1                   was live  shop.git 0123456789ab",
    ]
    assert cli.main(["releases", home.site, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["live"], [each["live"] for each in said["releases"]]) == (
        "2",
        [False, True, False],
    )


def test_where_nothing_was_deployed_a_rollback_says_how(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.current.unlink()
    assert cli.main(["rollback", home.site]) == 1
    assert f"mod-wsgi-van deploy {home.site}" in capsys.readouterr().err


def test_a_rollback_and_back(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rollback", home.site]) == 0
    assert home.live() == "1"
    assert cli.main(["rollback", home.site]) == 1
    assert "no release that was live before 1" in capsys.readouterr().err
    assert cli.main(["activate", home.site, "3"]) == 0
    assert home.live() == "3"
    assert cli.main(["activate", home.site, "4"]) == 1
    assert "shop.test has no release 4: mod-wsgi-van releases" in capsys.readouterr().err


@pytest.mark.parametrize("site", ["../x", ".sites", "Shop.test", "a b"])
def test_what_is_no_name_of_a_site_is_wrong_usage(home: Home, site: str) -> None:
    for command in (["deploy", site, "."], ["activate", site, "1"], ["releases", site]):
        assert cli.main(command) == 2


def test_a_check_that_is_no_path_is_wrong_usage(home: Home) -> None:
    assert cli.main(["deploy", home.site, ".", "--check", "health"]) == 2
    assert home.live() == "2"


def test_a_pattern_of_ones_own_is_a_problem(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "van.toml"
    file.write_text('vhost_pattern = "%-1"')
    assert cli.main(["releases", home.site, "--config", str(file)]) == 1
    assert 'vhost_pattern is "%-1"' in capsys.readouterr().err
    file.write_text("nonsense = 1")
    assert cli.main(["releases", home.site, "--config", str(file)]) == 1
    assert f"{file}:1: " in capsys.readouterr().err


def test_what_an_owner_puts_there_stops_nobody_and_drives_no_terminal(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.record("1").unlink()
    os.mkfifo(home.record("1"))
    home.record("2").write_text('{"source": "\\u001b[2J"}')
    home.revisions.unlink()
    os.mkfifo(home.revisions)
    assert cli.main(["releases", home.site]) == 0
    assert "live      \\x1b[2J" in capsys.readouterr().out
