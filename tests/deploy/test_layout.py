"""What stands where, and how a link is exchanged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mod_wsgi_van.deploy.layout import Home, point


def release(home: Home, id: str) -> None:
    home.release(id).mkdir(parents=True)
    home.record(id).write_text("{}")


def test_only_whole_releases_count(home: Home) -> None:
    assert home.whole() == []
    release(home, "2")
    release(home, "1")
    home.release("3").mkdir()
    home.record("4").write_text("{}")
    (home.releases / ".5").mkdir()
    (home.releases / ".5.json").write_text("{}")
    assert home.whole() == ["1", "2"]


def test_what_is_live_is_read_from_the_link(home: Home) -> None:
    assert home.live() == ""
    release(home, "1")
    point(home.current, "releases/1")
    assert home.live() == "1"
    point(home.current, "releases/2")
    assert home.live() == ""


def test_the_site_is_reached_by_both_links(home: Home) -> None:
    release(home, "1")
    point(home.current, "releases/1")
    point(home.link, home.link_text)
    assert home.link.resolve() == home.release("1")
    assert home.standing() == "ours"
    assert home.obstacle() == ""


def test_a_link_is_exchanged_and_nothing_is_left_beside(tmp_path: Path) -> None:
    link = tmp_path / "link"
    point(link, "one")
    point(link, "two")
    assert os.readlink(link) == "two"
    assert os.listdir(tmp_path) == ["link"]


def test_a_directory_is_not_exchanged(tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    with pytest.raises(IsADirectoryError):
        point(tmp_path / "link", "one")
    assert os.listdir(tmp_path) == ["link"]


def test_who_stands_at_the_place_of_the_link_is_told_how_to_be_adopted(home: Home) -> None:
    assert (home.standing(), home.obstacle()) == ("nothing", "")
    home.link.symlink_to("elsewhere")
    assert home.standing() == "link"
    assert "leads to elsewhere" in home.obstacle()
    home.link.unlink()
    home.link.mkdir()
    assert home.standing() == "directory"
    assert f"mv -T {home.link} " in home.obstacle()
    home.link.rmdir()
    home.link.touch()
    assert home.standing() == "file"
    assert "remove it" in home.obstacle()
