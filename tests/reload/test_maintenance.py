"""Maintenance: 503 at once and for all, and afterwards the release that was loaded."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.files.target import mark, marks
from mod_wsgi_van.reload.maintenance import SIZE
from tests.support.client import ask, get, wait_for
from tests.support.links import swap
from tests.support.log import logged
from tests.support.vhosts import app, deploy, hangs, release, site, write
from tests.support.waiting import wait

BOTH = pytest.mark.parametrize("isolation", ["imports", "process"])
PLAIN = "This site cannot be served at the moment."
LOADS = """
import os
with open({counter!r}, "a") as file:
    file.write("x")
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.path.getsize({counter!r})]
"""


@pytest.fixture(params=["auto", "polling"], autouse=True)
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOD_WSGI_VAN_WATCH", request.param)


def on(path: Path) -> Path:
    """Write the mark of a site."""
    file = Path(mark(path))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


@BOTH
def test_on_and_off(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "a.test"
    write(path / "wsgi/app.py", LOADS.format(counter=str(tmp_path / "loads")))
    write(path / "maintenance.html", "<p>Back at noon é</p>")
    site(tmp_path, "b.test", "other")
    application = make_router(isolation=isolation).application
    for _ in range(3):
        assert get(application, "a.test").body == "1"
        assert get(application, "b.test").body == "other"
        file = on(path)
        wait_for(application, "a.test", "<p>Back at noon é</p>")
        answer = get(application, "a.test")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert ask(application, method="HEAD", HTTP_HOST="a.test").content == b""
        assert get(application, "b.test").body == "other"
        file.unlink()
        wait_for(application, "a.test", "1")
    assert logged(caplog, "a.test: maintenance on: requests get 503 with") == 3
    assert logged(caplog, "a.test: maintenance off") == 3
    assert logged(caplog, "b.test: maintenance") == 0


def test_all_names_of_a_site_without_a_page(tmp_path: Path, make_router: Any) -> None:
    path = site(tmp_path, "a.test")
    (tmp_path / "www.a.test").symlink_to("a.test")
    (tmp_path / "b.test").symlink_to("elsewhere")
    assert marks(tmp_path / "www.a.test") == (mark(tmp_path / "www.a.test"), mark(path))
    application = make_router().application
    assert get(application, "www.a.test").body == get(application, "a.test").body == "one"
    file = on(path)
    wait_for(application, "www.a.test", PLAIN)
    wait_for(application, "a.test", PLAIN)
    file.unlink()
    wait_for(application, "www.a.test", "one")
    wait_for(application, "a.test", "one")
    on(tmp_path / "www.a.test")
    wait_for(application, "www.a.test", PLAIN)
    assert get(application, "a.test").body == "one"


@BOTH
def test_a_deploy_meanwhile(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    caplog.set_level(logging.INFO)
    home = tmp_path / ".sites/a.test"
    for number in "123":
        write(home / f"releases/{number}/wsgi/app.py", app(number) if number != "2" else "1 / 0")
        write(home / f"releases/{number}/maintenance.html", f"page {number}")
    swap(home / "current", "releases/1")
    swap(tmp_path / "a.test", ".sites/a.test/current")
    application = make_router(isolation=isolation).application
    assert get(application, "a.test").body == "1"
    on(tmp_path / "a.test")
    wait_for(application, "a.test", "page 1")
    swap(home / "current", "releases/2")
    wait(lambda: logged(caplog, "VAN002"), "the failure")
    wait_for(application, "a.test", "page 2")
    swap(home / "current", "releases/3")
    wait(lambda: logged(caplog, "a.test: reloaded"), "the reload")
    wait_for(application, "a.test", "page 3")
    Path(mark(tmp_path / "a.test")).unlink()
    wait_for(application, "a.test", "3")
    assert logged(caplog, "a.test: maintenance on") == 1


def test_a_process_that_starts_in_maintenance(tmp_path: Path, make_router: Any) -> None:
    go = tmp_path / "go"
    path = tmp_path / "a.test"
    write(path / "wsgi/app.py", hangs(go) + app("one"))
    file = on(path)
    router = make_router()
    application = router.application
    assert get(application, "a.test").body.strip() == PLAIN
    wait((tmp_path / "go.begun").exists, "the load, which goes on meanwhile")
    go.touch()
    assert router.load("a.test")
    assert get(application, "a.test").body.strip() == PLAIN
    file.unlink()
    wait_for(application, "a.test", "one")


def test_it_does_not_wait_for_an_import(tmp_path: Path, make_router: Any) -> None:
    go = tmp_path / "go"
    for number, source in (1, app("1")), (2, hangs(go) + app("2")):
        release(tmp_path, "a.test", number, source)
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    Path(mark(tmp_path / "a.test")).parent.mkdir(parents=True)
    application = make_router().application
    assert get(application, "a.test").body == "1"
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/2")
    wait((tmp_path / "go.begun").exists, "the load of the next release")
    file = on(tmp_path / "a.test")
    wait_for(application, "a.test", PLAIN)
    file.unlink()
    wait_for(application, "a.test", "1")
    go.touch()
    wait_for(application, "a.test", "2")


def test_who_waits_for_the_first_load(tmp_path: Path, make_router: Any) -> None:
    go = tmp_path / "go"
    write(tmp_path / "a.test/wsgi/app.py", hangs(go) + app("one"))
    application = make_router().application
    file = Path(mark(tmp_path / "a.test"))
    file.parent.mkdir(parents=True)
    bodies: list[str] = []
    client = threading.Thread(target=lambda: bodies.append(get(application, "a.test").body.strip()))
    client.start()
    wait((tmp_path / "go.begun").exists, "the load")
    file.touch()
    client.join(20)
    assert bodies == [PLAIN]
    go.touch()
    file.unlink()
    wait_for(application, "a.test", "one")


def test_a_site_that_is_not_there(tmp_path: Path, make_router: Any) -> None:
    path = site(tmp_path, "a.test")
    application = make_router().application
    on(path)
    assert get(application, "a.test").status == 503
    path.rename(tmp_path / "aside")
    wait(lambda: get(application, "a.test").status == 404, "404")
    (tmp_path / "aside").rename(path)
    wait(lambda: get(application, "a.test").status == 503, "503")
    Path(mark(path)).unlink()
    wait_for(application, "a.test", "one")


UNFIT: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": Path.mkdir,
    "65,537 bytes": lambda path: path.write_bytes(bytes(SIZE + 1)),
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_page_that_is_none(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.INFO)
    path = site(tmp_path, "a.test")
    UNFIT[what](path / "maintenance.html")
    application = make_router().application
    on(path)
    assert get(application, "a.test").body.strip() == PLAIN
    wait(lambda: logged(caplog, f"{path}/maintenance.html"), "the reason")
    assert logged(caplog, what) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_page_of_another_user(tmp_path: Path, make_router: Any) -> None:
    path, page = site(tmp_path, "a.test"), tmp_path / "secret"
    page.write_text("secret")
    (path / "maintenance.html").symlink_to(page)
    on(path)
    assert get(make_router().application, "a.test").body == "secret"
    os.chown(path, 1234, 1234)
    application = make_router(site_user="owner").application
    assert get(application, "a.test").body.strip() == PLAIN
    os.chown(page, 1234, 1234)
    on(path)
    wait_for(application, "a.test", "secret")
