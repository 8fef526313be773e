"""A script that is loaded again in place: the router that it made before ends."""

from __future__ import annotations

import runpy
import threading
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get
from tests.support.vhosts import hangs, site, write
from tests.support.waiting import wait

SCRIPT = "from mod_wsgi_van import Router\nrouter = Router(base_path={base!r}, **{settings!r})\n"


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Run the wsgi file as a server does that loads it in place; all routers end at the end."""
    made: list[Router] = []

    def run(name: str = "app.wsgi", base: Path | None = None, **settings: Any) -> Router:
        path = tmp_path / name
        path.write_text(SCRIPT.format(base=str(base or tmp_path), settings=settings))
        made.append(runpy.run_path(str(path))["router"])
        return made[-1]

    yield run
    for router in made:
        router.shutdown()


def threads() -> int:
    names = [each.name for each in threading.enumerate()]
    return sum(name.startswith("van-") and name != "van-collect" for name in names)


@pytest.mark.parametrize("isolation", ["imports", "process"])
def test_the_former_router_ends(tmp_path: Path, script: Any, isolation: str) -> None:
    site(tmp_path, "a.test")
    assert get(script(isolation=isolation).application, "a.test").body == "one"
    usual = threads()
    for _ in range(5):
        assert get(script(isolation=isolation).application, "a.test").body == "one"
    wait(lambda: threads() == usual, "the threads of one router")


def test_a_request_under_way_goes_on(tmp_path: Path, script: Any) -> None:
    source = """
    import atexit, pathlib, time
    ended = pathlib.Path({ended!r})
    atexit.register(ended.touch)
    def app(environ, start_response):
        {wait}
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(ended.exists()).encode()]
    """
    go, ended = tmp_path / "go", tmp_path / "ended"
    held = hangs(go).strip().replace("\n", "\n        ")
    write(tmp_path / "a.test/wsgi/app.py", source.format(ended=str(ended), wait=held))
    router = script(isolation="imports")
    bodies: list[str] = []
    asking = threading.Thread(target=lambda: bodies.append(get(router.application, "a.test").body))
    asking.start()
    wait((tmp_path / "go.begun").exists)
    script(isolation="imports")
    assert not ended.exists()
    go.touch()
    asking.join()
    assert bodies == ["False"]
    wait(ended.exists, "the exit handlers")


def test_another_script_and_another_base_are_let_alone(tmp_path: Path, script: Any) -> None:
    site(tmp_path, "a.test")
    site(tmp_path / "other", "a.test", "other")
    first, second = script(), script("other.wsgi")
    third = script(base=tmp_path / "other")
    assert [get(each.application, "a.test").body for each in (first, second, third)] == [
        "one",
        "one",
        "other",
    ]
    assert not any(each._engine._stopped for each in (first, second, third))


def test_routers_that_one_run_of_a_script_makes(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "a.test")
    first, second = make_router(), make_router(isolation="process")
    assert get(first.application, "a.test").body == "one"
    assert get(second.application, "a.test").body == "one"
    assert not first._engine._stopped
