"""Changes to a system: made once, written down, taken back, and nothing else touched."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from mod_wsgi_van.cli.changes import (
    Change,
    Enabling,
    Journal,
    NewDirectory,
    NewFile,
    NewLink,
)
from mod_wsgi_van.cli.problem import Problem


def make(journal: Journal, *changes: Change) -> None:
    for change in changes:
        if journal.wants(change):
            journal.make(change)


def everything(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


def take_back(journal: Journal) -> list[str]:
    return list(journal.take_back(lambda command: ""))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.read(tmp_path / "etc/setup.json")


def test_all_is_taken_back_by_another_process(journal: Journal, tmp_path: Path) -> None:
    enabled = tmp_path / "enabled"
    enabled.mkdir()
    witness = str(enabled / "x")
    make(
        journal,
        NewDirectory(str(tmp_path / "etc")),
        NewDirectory(str(tmp_path / "a/b/c")),
        NewFile(str(tmp_path / "a/b/file"), "text"),
        NewLink(str(tmp_path / "a/link"), "b"),
        Enabling(("touch", witness), ("env", "-C", str(enabled), "rm", "x"), witness),
    )
    assert (tmp_path / "a/link/file").read_text() == "text"
    assert (tmp_path / "enabled/x").exists()
    later = Journal.read(tmp_path / "etc/setup.json")
    take_back(later)
    assert everything(tmp_path) == ["enabled"]
    assert not later.entries


def test_it_is_made_once(journal: Journal, tmp_path: Path) -> None:
    changes = (NewFile(str(tmp_path / "x"), "1"), NewLink(str(tmp_path / "y"), "x"))
    make(journal, *changes)
    assert [journal.wants(each) for each in changes] == [False, False]


def test_a_new_text_takes_the_place_of_ours_and_can_be_restored(
    journal: Journal, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    make(journal, NewFile(str(path), "1"))
    make(journal, NewFile(str(path), "2"))
    assert path.read_text() == "2"
    list(journal.restore())
    assert path.read_text() == "1"
    take_back(journal)
    assert not path.exists()


@pytest.mark.parametrize("theirs", ["file", "link", "directory"])
def test_what_stands_in_the_way_is_named_and_kept(
    journal: Journal, tmp_path: Path, theirs: str
) -> None:
    path = tmp_path / "x"
    if theirs == "file":
        path.write_text("theirs")
    elif theirs == "link":
        path.symlink_to("elsewhere")
    else:
        path.mkdir()
    before = everything(tmp_path)
    for change in (NewFile(str(path), "ours"), NewLink(str(path), "ours")):
        with pytest.raises(Problem, match=str(path)):
            make(journal, change)
    assert everything(tmp_path) == before


def test_what_was_changed_since_stays(journal: Journal, tmp_path: Path) -> None:
    file, link = tmp_path / "x", tmp_path / "y"
    make(journal, NewFile(str(file), "1"), NewLink(str(link), "x"), NewDirectory(f"{tmp_path}/d"))
    file.write_text("mine")
    link.unlink()
    os.symlink("mine", link)
    (tmp_path / "d/mine").touch()
    with pytest.raises(Problem, match="was changed since"):
        make(journal, NewFile(str(file), "2"))
    said = take_back(journal)
    assert [each for each in said if "stays" in each] == said
    assert file.read_text() == "mine" and os.readlink(link) == "mine"


def test_what_cannot_be_taken_back_is_kept_in_the_journal(journal: Journal, tmp_path: Path) -> None:
    witness = str(tmp_path / "w")
    make(journal, NewFile(str(tmp_path / "x"), "1"))
    make(journal, Enabling(("touch", witness), ("false",), witness))
    said = take_back(journal)
    assert "not taken back" in said[0]
    assert not (tmp_path / "x").exists()
    assert [each["kind"] for each in Journal.read(journal.file).entries] == ["command"]
    assert "not done, others use it" in next(journal.take_back(lambda command: "others use it"))


def test_a_command_that_fails_says_why(journal: Journal, tmp_path: Path) -> None:
    command = ("sh", "-c", "echo the reason; exit 3")
    with pytest.raises(Problem, match="the reason"):
        make(journal, Enabling(command, command, str(tmp_path / "w")))
    with pytest.raises(Problem, match="none-such"):
        make(journal, Enabling(("none-such",), command, str(tmp_path / "w")))
    assert not journal.entries


def test_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "setup.json").write_text("{")
    with pytest.raises(Problem, match=r"setup\.json cannot be read"):
        Journal.read(tmp_path / "setup.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_a_directory_is_given_away_and_those_above_are_not(
    journal: Journal, tmp_path: Path
) -> None:
    make(journal, NewDirectory(f"{tmp_path}/run/status", "nobody", "nogroup"))
    given = (tmp_path / "run/status").stat()
    assert given.st_uid == pwd.getpwnam("nobody").pw_uid
    assert (tmp_path / "run").stat().st_uid == 0
