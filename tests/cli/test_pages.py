"""The commands help and explain."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mod_wsgi_van import manual
from mod_wsgi_van.cli import main
from mod_wsgi_van.codes import CODES

COMMAND = [sys.executable, "-m", "mod_wsgi_van"]


def test_help_lists_all_pages_with_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(manual.pages())
    assert all(line.endswith(".") and len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("page", manual.pages())
def test_help_shows_a_page_without_its_marks(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", page]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# ")
    assert "<!--" not in shown
    assert "<!--" in manual.pages()[page] or shown == manual.pages()[page]


def test_on_a_terminal_a_page_goes_through_the_pager(tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/paged\n")
    pager.chmod(0o755)
    environ = os.environ | {"PAGER": str(pager), "TERM": "vt100"}
    environ.pop("MANPAGER", None)
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [*COMMAND, "help", "settings"], env=environ, stdin=theirs, stdout=theirs, timeout=30
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (tmp_path / "paged").read_text().startswith("# Settings\n")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = subprocess.Popen(
        [*COMMAND, "help", "settings"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout and command.stderr
    command.stdout.close()
    with command.stderr as errors:
        assert errors.read() == b""
    assert command.wait(30) == 0


@pytest.mark.parametrize("text", ["VAN007", "van007", "7", "007"])
def test_explain_says_cause_outcome_and_action(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", text]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    code = CODES["VAN007"]
    assert shown == f"VAN007 cause: {code.cause} outcome: {code.outcome} action: {code.action}"


def test_explain_without_a_code_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{code}  {explained.cause}" for code, explained in CODES.items()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["help", "deploy"], "the pages are "),
        (["help", "../README"], "the pages are "),
        (["explain", "VAN999"], "mod-wsgi-van explain lists all"),
        (["explain", ""], "mod-wsgi-van explain lists all"),
    ],
)
def test_what_does_not_exist_is_wrong_usage(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
