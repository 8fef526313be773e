"""The lines of one site in a log, through rotations."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mod_wsgi_van.cli import main
from mod_wsgi_van.cli.errorlog import Lines, read
from tests.support.waiting import wait

PREFIX = "[Sat Nov 28 07:40:04.123456 2026] [wsgi:error] [pid 12:tid 34] "
LOG = f"""\
{PREFIX}mod_wsgi_van ERROR: shop.test: VAN002: it failed
{PREFIX}shop.test: Traceback (most recent call last):
{PREFIX}shop.test:   File "app.py", line 1
{PREFIX}mod_wsgi_van INFO: other.test: loaded
{PREFIX}[remote 127.0.0.1:5] [script /etc/app.wsgi] [shop.test] printed
{PREFIX}  and more of it
{PREFIX}[other.test] [shop.test] a lie
{PREFIX}  that goes on
{PREFIX}other.test: shop.test: another
{PREFIX}shop.test.evil: not it
mod_wsgi_van WARNING: shop.test: on a terminal
[shop.test] there too
"""
OF_SHOP = [0, 1, 2, 4, 5, 10, 11]


def test_the_lines_of_one_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "error.log").write_text(LOG)
    assert main(["logs", "shop.test", "--file", str(tmp_path / "error.log")]) == 0
    lines = LOG.splitlines()
    assert capsys.readouterr().out.splitlines() == [lines[number] for number in OF_SHOP]


def test_a_log_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "shop.test", "--file", str(tmp_path / "error.log")]) == 1
    assert "--file names another log" in capsys.readouterr().err


@pytest.mark.parametrize("copied", [False, True])
def test_following_through_a_rotation(tmp_path: Path, copied: bool) -> None:
    path = tmp_path / "error.log"
    path.write_text("[a] 1\nhalf")
    seen: list[str] = []

    def follow() -> None:
        for line in read(str(path), follow=True):
            seen.append(line)
            if line == "[a] end":
                return

    reader = threading.Thread(target=follow)
    reader.start()
    wait(lambda: seen == ["[a] 1"], "the first line")
    with path.open("a") as old:
        old.write(" a line\n")
        old.flush()
        wait(lambda: seen[-1] == "half a line", "the rest of the line")
        if not copied:
            path.rename(tmp_path / "error.log.1")
            path.touch()
            old.write("[a] to the old one\n")
            old.flush()
            wait(lambda: seen[-1] == "[a] to the old one", "what Apache writes before a reload")
    if copied:
        with path.open("w"):
            pass
    with path.open("a") as new:
        new.write("[a] 2\n[a] end\n")
    reader.join(20)
    assert seen[-2:] == ["[a] 2", "[a] end"]
    assert Lines("a").belongs("[a] end")
