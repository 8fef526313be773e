"""What is remembered of a van.toml, and for how long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mod_wsgi_van.errors import BadSettings, UnfitFile
from mod_wsgi_van.files import own
from mod_wsgi_van.files.own import OwnFiles
from tests.support.waiting import wait


def threads(files: OwnFiles, path: Path) -> object:
    try:
        return files.settings(path)["threads"]
    except BadSettings as error:
        return str(error)


def test_an_edit_in_the_tick_of_the_look_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, files = tmp_path / "van.toml", OwnFiles()
    file.write_text("threads = 1")
    identity = own._identity(str(file))  # newer kernels tell the edit apart where they are asked
    monkeypatch.setattr(own, "_identity", lambda file: identity)
    assert threads(files, tmp_path) == 1
    file.write_text("threads = 2")
    assert threads(files, tmp_path) == 2


@pytest.mark.parametrize("text", ["threads = 1", "threads = 0"])
def test_a_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "van.toml").write_text(text)
    files = OwnFiles()
    wait(lambda: time.time() - (tmp_path / "van.toml").stat().st_ctime > own._YOUNG + 0.1)
    said = threads(files, tmp_path)
    monkeypatch.setattr(own, "parse", None)
    assert threads(files, tmp_path) == said


def test_a_file_that_is_too_large_to_be_parsed_soon(tmp_path: Path) -> None:
    (tmp_path / "van.toml").write_text("#" * 20_000)
    with pytest.raises(UnfitFile):
        OwnFiles().settings(tmp_path)
