"""Turns of the GIL are short while something is loaded, and as before afterwards."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.interpreter.interval import INTERVAL, Hurry
from tests.support.client import get, wait_for
from tests.support.vhosts import app, deploy, hangs, release
from tests.support.waiting import wait

USUAL = 0.003


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL)
    yield
    sys.setswitchinterval(before)


def now() -> float:
    return round(sys.getswitchinterval(), 6)


def asking(number: int) -> str:
    """An application that answers its number and the interval that it was imported with."""
    source = "import sys\nSEEN = round(sys.getswitchinterval(), 6)\n" + app(f"{number} @")
    return source.replace(".encode()", ".replace('@', str(SEEN)).encode()")


def test_a_load_and_a_reload_hurry(tmp_path: Path, make_router: Any) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, asking(1)))
    router = make_router()
    assert get(router.application, "a.test").body == f"1 {INTERVAL}"
    wait(lambda: now() == USUAL)
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, asking(2)))
    wait_for(router.application, "a.test", f"2 {INTERVAL}")
    wait(lambda: now() == USUAL)


def test_a_poller_hurries(tmp_path: Path, make_router: Any) -> None:
    seen: set[float] = set()

    class Recording(Router):
        def get_version(self, path: Path) -> object:
            if threading.current_thread().name == "van-files":
                seen.add(now())
            return super().get_version(path)

    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(Recording, watch="polling", update_interval=0.05)
    assert get(router.application, "a.test").body == "1"
    wait(lambda: seen)
    assert seen == {INTERVAL}
    wait(lambda: now() == USUAL)
    router.shutdown()
    assert now() == USUAL


def test_an_interval_that_the_server_sets_meanwhile_stays(tmp_path: Path, make_router: Any) -> None:
    class Sets(Router):
        def get_version(self, path: Path) -> object:
            sys.setswitchinterval(0.001)
            return super().get_version(path)

    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("own")))
    router = make_router(Sets)
    assert get(router.application, "a.test").body == "own"
    router.shutdown()
    assert now() == 0.001


def test_an_interval_that_a_site_sets_is_its_own(tmp_path: Path, make_router: Any) -> None:
    source = "import sys\nsys.setswitchinterval(0.001)\n" + app("{sys.getswitchinterval()}")
    source = source.replace("'{sys.getswitchinterval()}'", "str(sys.getswitchinterval())")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, source))
    router = make_router()
    assert get(router.application, "a.test").body == "0.001"
    router.shutdown()
    assert now() == USUAL


def test_an_import_that_hangs_hurries_until_it_is_late(tmp_path: Path, make_router: Any) -> None:
    source = hangs(tmp_path / "go") + app("at last")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, source))
    router = make_router(load_timeout=0.3)
    assert get(router.application, "a.test").status == 503
    wait(lambda: now() == USUAL)
    (tmp_path / "go").touch()
    wait_for(router.application, "a.test", "at last")
    assert now() == USUAL


def test_several_owners_and_a_fork() -> None:
    hurry = Hurry()
    hurry.begin("one")
    hurry.begin("other")
    hurry.end("one")
    hurry.end("one")
    assert now() == INTERVAL
    hurry.after_fork()  # none of them is there
    assert now() == USUAL
    hurry.end("other")
    assert now() == USUAL


def test_a_shorter_interval_is_left_alone() -> None:
    sys.setswitchinterval(INTERVAL / 2)
    hurry = Hurry()
    hurry.begin("one")
    hurry.end("one")
    assert now() == round(INTERVAL / 2, 6)
