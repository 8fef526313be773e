"""Files that change while they are loaded: nothing half read, nothing older goes live."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get, wait_for
from tests.support.links import exchange
from tests.support.log import errors, logged
from tests.support.vhosts import app, deploy, hangs, release, site, write
from tests.support.waiting import wait

# Imports a, then, where it is held up, waits, and then b.
APP = """
import a
{held}
import b
R = {number}
def app(environ, start_response):
    body = f"{{a.R}} {{b.R}} {{R}}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def edit(wsgi: Path, number: int, held: str = "") -> None:
    for module in ("a", "b"):
        write(wsgi / f"{module}.py", f"R = {number}\n")
    write(wsgi / "app.py", APP.format(number=number, held=held))


def test_an_edit_that_overlaps_the_load_of_the_one_before(tmp_path: Path, make_router: Any) -> None:
    wsgi, go = tmp_path / "a.test/wsgi", tmp_path / "go"
    edit(wsgi, 1)
    router = make_router(settle=1)  # an edit takes less, however busy the machine is
    assert get(router.application, "a.test").body == "1 1 1"
    edit(wsgi, 2, hangs(go))
    wait((tmp_path / "go.begun").exists)
    edit(wsgi, 3)
    go.touch()
    seen: set[str] = set()

    def is_newest() -> bool:
        seen.add(get(router.application, "a.test").body)
        return "3 3 3" in seen

    wait(is_newest)
    assert seen <= {"1 1 1", "3 3 3"}


def test_a_first_load_that_an_edit_overlaps(tmp_path: Path, make_router: Any) -> None:
    wsgi, go = tmp_path / "a.test/wsgi", tmp_path / "go"
    edit(wsgi, 1, hangs(go))
    router = make_router(load_timeout=60)
    bodies: list[str] = []
    request = threading.Thread(target=lambda: bodies.append(get(router.application, "a.test").body))
    request.start()
    wait((tmp_path / "go.begun").exists)
    edit(wsgi, 2)
    go.touch()
    request.join()
    assert bodies == ["2 2 2"]


def test_a_tree_that_is_exchanged_for_the_time_of_a_load(tmp_path: Path, make_router: Any) -> None:
    """The base of another day is put in place and taken away: its releases are older."""
    go = tmp_path / "go"
    for base, newest in (("base", 2), ("other", 1)):
        for number in (1, 2):
            held = hangs(go) if base == "other" else ""
            release(tmp_path / base, "a.test", number, held + app(f"{base} {number}"))
        (tmp_path / base / "a.test").symlink_to(f".builds/a.test/{newest}")
    router = make_router(base_path=str(tmp_path / "base"))
    assert get(router.application, "a.test").body == "base 2"
    exchange(tmp_path / "base", tmp_path / "other")
    wait((tmp_path / "go.begun").exists)
    exchange(tmp_path / "base", tmp_path / "other")
    go.touch()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert get(router.application, "a.test").body == "base 2"


def test_an_edit_in_every_load_does_not_go_on_for_ever(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    imports = tmp_path / "imports"
    source = f"""
    import pathlib, time
    with open({str(imports)!r}, "a") as file:
        file.write("x")
    (pathlib.Path(__file__).parent / "stamp.txt").write_text(str(time.time()))
    """
    wsgi = tmp_path / "a.test/wsgi"
    write(wsgi / "app.py", source)
    with (wsgi / "app.py").open("a") as file:
        file.write(app("one"))
    router = make_router(settle=0.05)
    assert get(router.application, "a.test").body == "one"
    assert len(imports.read_text()) <= 3
    wait(lambda: logged(caplog, "VAN014"), "the warning")


@pytest.mark.parametrize("isolation", ["imports", "process"])
def test_a_site_that_is_removed_while_it_is_loaded_is_not_found(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    go = tmp_path / "go"
    write(tmp_path / "a.test/wsgi/app.py", hangs(go) + "import helper\n")
    router = make_router(isolation=isolation)
    statuses: list[int] = []
    request = threading.Thread(
        target=lambda: statuses.append(get(router.application, "a.test").status)
    )
    request.start()
    wait((tmp_path / "go.begun").exists)
    shutil.rmtree(tmp_path / "a.test")
    go.touch()
    request.join()
    assert statuses == [404]
    assert not errors(caplog)


@pytest.mark.parametrize("isolation", ["imports", "process"])
def test_a_first_load_that_ends_during_a_shutdown_answers(
    tmp_path: Path, make_router: Any, isolation: str
) -> None:
    go = tmp_path / "go"
    write(tmp_path / "a.test/wsgi/app.py", hangs(go) + app("one"))
    router = make_router(isolation=isolation)
    bodies: list[str] = []
    request = threading.Thread(target=lambda: bodies.append(get(router.application, "a.test").body))
    request.start()
    wait((tmp_path / "go.begun").exists)
    ending = threading.Thread(target=router.shutdown)
    ending.start()
    go.touch()
    request.join()
    ending.join()
    assert bodies == ["one"]


def test_a_hook_says_that_a_site_is_gone(tmp_path: Path, make_router: Any) -> None:
    class Maintained(Router):
        def get_version(self, path: Path) -> object:
            if (path / "disabled").exists():
                raise FileNotFoundError(path)
            return 1

    site(tmp_path, "a.test")
    router = make_router(Maintained)
    assert get(router.application, "a.test").status == 200
    (tmp_path / "a.test/disabled").touch()
    wait(lambda: get(router.application, "a.test").status == 404)
    (tmp_path / "a.test/disabled").unlink()
    wait_for(router.application, "a.test", "one")


def test_an_environment_that_is_made_anew(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Between ``rm -rf .venv`` and the new one the release that is there goes on serving."""
    prefix = f"import sys\n{app('{}')}".replace("'{}'", "sys.prefix")
    write(tmp_path / "a.test/wsgi/app.py", prefix)
    venv = tmp_path / "a.test/.venv"
    python = venv / "bin/python"
    write(venv / "pyvenv.cfg", "home = /usr/bin\nversion = {}.{}.0\n".format(*_version()))
    python.parent.mkdir()
    python.touch(mode=0o755)
    router = make_router(settle=0.05)
    assert get(router.application, "a.test").body == str(venv)
    shutil.rmtree(venv)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert get(router.application, "a.test").body == str(venv)
    assert not logged(caplog, "reloaded")


def _version() -> tuple[int, int]:
    import sys

    return sys.version_info[:2]


def test_the_newest_of_many_quick_deploys_goes_live(tmp_path: Path, make_router: Any) -> None:
    slow = "import time\ntime.sleep(0.05)\n"
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 0, app("0")))
    router = make_router()
    assert get(router.application, "a.test").body == "0"
    seen = []
    for number in range(1, 30):
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", number, slow + app(str(number))))
        seen.append(int(get(router.application, "a.test").body))
        time.sleep(0.02)
    wait_for(router.application, "a.test", "29")
    assert seen == sorted(seen)
