"""Looking at files with the rights of another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mod_wsgi_van.cli.doctor import eyes

NOBODY = "nobody" if os.geteuid() == 0 else ""


@pytest.fixture
def place(open_path: Path) -> Path:
    (open_path / "a/b").mkdir(parents=True)
    (open_path / "a/b/file").write_text("text")
    return open_path


def look(path: Path, mode: int = os.R_OK) -> str:
    return eyes.look(NOBODY, [(str(path), mode)])[0]


def test_what_is_open_is_fine(place: Path) -> None:
    assert look(place / "a/b/file") == ""
    assert look(place / "a/b", os.R_OK | os.X_OK) == ""


def test_the_first_obstacle_is_named(place: Path) -> None:
    (place / "link").symlink_to("a/b/file")
    (place / "a").chmod(0o600)
    said = look(place / "link")
    (place / "a").chmod(0o755)
    assert said == f"{place}/a cannot be entered by {NOBODY or 'this user'}"


def test_where_a_link_leads_is_named(place: Path) -> None:
    (place / "link").symlink_to("a/none")
    assert look(place / "link") == (
        f"{place}/a/none, where {place}/link leads: no such file or directory"
    )
    (place / "loop").symlink_to("loop")
    assert "too many levels of symbolic links" in look(place / "loop")


@pytest.mark.parametrize(("mode", "verb"), [(os.R_OK, "read"), (os.X_OK, "entered or run")])
def test_what_is_closed_itself_is_named(place: Path, mode: int, verb: str) -> None:
    (place / "a/b/file").chmod(0)
    assert look(place / "a/b/file", mode) == (
        f"{place}/a/b/file cannot be {verb} by {NOBODY or 'this user'}"
    )
