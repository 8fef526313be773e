"""What the log says of a site: true, one line for each thing, and nobody else's."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.lines import escape, marked
from tests.support.client import get, wait_for
from tests.support.log import errors
from tests.support.venvs import make_venv
from tests.support.vhosts import app, deploy, release, site, write
from tests.support.waiting import wait

FORGED = "x\nb.test: loaded /etc in 1 ms\x1b[31m\x00\x85\u2028"


def said(caplog: pytest.LogCaptureFixture, start: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith(start)]


def test_a_line_is_a_line() -> None:
    text = escape(f"{FORGED}\udcff\t")
    shown = r"x\x0ab.test: loaded /etc in 1 ms\x1b[31m\x00\x85\u2028\udcff"
    assert text == shown + "\t"
    assert marked("a.test", "one\n  two\rthree\n") == "a.test: one\na.test:   two\\x0dthree"


@pytest.mark.parametrize("isolation", ["imports", "process"])
def test_an_exception_forges_no_line(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    write(tmp_path / "a.test" / "wsgi" / "app.py", f"raise ValueError({FORGED!r})")
    router = make_router(isolation=isolation)
    assert get(router.application, "a.test").status == 500
    (message,) = errors(caplog)
    lines = message.split("\n")
    assert lines[1] == "a.test: Traceback (most recent call last):" and len(lines) > 3
    assert all(line.startswith("a.test: ") for line in lines)
    assert not set("\x1b\x00\x85\u2028") & set(message)


@pytest.mark.parametrize("isolation", ["imports", "process"])
def test_a_path_forges_no_line(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    caplog.set_level(logging.INFO)
    one = release(tmp_path, "a.test", 1, app("1")).rename(tmp_path / "x\nb.test: one")
    deploy(tmp_path, "a.test", one)
    router = make_router(isolation=isolation, settle=0.01)
    wait_for(router.application, "a.test", "1")
    two = release(tmp_path, "a.test", 2, "1 / 0").rename(tmp_path / "x\nb.test: two")
    deploy(tmp_path, "a.test", two)
    wait(lambda: errors(caplog), "the error in the log")
    three = release(tmp_path, "a.test", 3, app("3")).rename(tmp_path / "x\nb.test: three")
    deploy(tmp_path, "a.test", three)
    wait_for(router.application, "a.test", "3")
    write(three / "wsgi" / "x\nb.test.py", "")
    wait(lambda: "newest file" in caplog.text, "the line in the log")
    lines = [line for r in caplog.records for line in r.getMessage().split("\n")]
    assert not [line for line in lines if line.startswith("b.test")]


def test_what_has_changed(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    vhost = site(tmp_path, "a.test")
    wsgi = vhost / "wsgi"
    make_venv(vhost / ".venv")
    router = make_router(settle=0.05, watch_paths=["restart.txt"])
    wait_for(router.application, "a.test", "one")

    def reloaded() -> str:
        return wait(lambda: said(caplog, "a.test: reloaded"), "the line in the log")[0].partition(
            " ms: "
        )[2]

    def touch(path: Path, text: str) -> str:
        caplog.clear()
        write(path, text)
        return reloaded()

    assert touch(vhost / "restart.txt", "") == f"{vhost}/restart.txt changed"
    assert touch(vhost / "van.toml", 'entry = "app:app"') == f"{vhost}/van.toml changed"
    config = vhost / ".venv" / "pyvenv.cfg"
    again = config.read_text() + "\n"
    assert touch(config, again) == f"its environment {vhost}/.venv changed"
    assert touch(wsgi / "new.py", "") == f"{wsgi} changed (newest file: new.py)"
    caplog.clear()
    os.utime(wsgi)
    assert reloaded() == f"{wsgi} was touched"
