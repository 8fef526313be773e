"""The reload thread is at rest while nothing happens, whatever has happened before."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get, wait_for
from tests.support.vhosts import app, deploy, hangs, release, site
from tests.support.waiting import wait


def turns(router: Router, seconds: float) -> int:
    """How often the reload thread woke up in ``seconds``."""
    reloads = router._engine._reloads
    assert reloads is not None
    before = reloads.turns
    time.sleep(seconds)
    return reloads.turns - before


class Raises(Router):
    """Its hook raises when it is told to."""

    fails = False

    def get_version(self, path: Path) -> object:
        if self.fails:
            raise ValueError("not now")
        return 1


def test_after_a_deploy_and_a_removal(tmp_path: Path, make_router: Any) -> None:
    for number in (1, 2):
        release(tmp_path, "a.test", number, app(str(number)))
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    router = make_router(sweep_interval=0)
    assert get(router.application, "none.test").status == 404
    assert get(router.application, "a.test").body == "1"
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/2")
    wait_for(router.application, "a.test", "2")
    (tmp_path / "a.test").unlink()
    wait(lambda: get(router.application, "a.test").status == 404)
    wait(lambda: turns(router, 0.5) == 0, "rest")


def test_while_an_import_goes_on(tmp_path: Path, make_router: Any) -> None:
    go = tmp_path / "go"
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(sweep_interval=0, load_timeout=60)
    assert get(router.application, "a.test").body == "1"
    two = release(tmp_path, "a.test", 2, hangs(go) + app("2"))
    deploy(tmp_path, "a.test", two)
    wait((tmp_path / "go.begun").exists)
    (two / "wsgi/edit.py").write_text("")
    wait(lambda: turns(router, 0.5) == 0, "rest")
    go.touch()
    wait_for(router.application, "a.test", "2")


@pytest.mark.parametrize("watch", ["auto", "polling"])
def test_while_a_hook_raises_and_an_import_goes_on(
    tmp_path: Path, make_router: Any, watch: str
) -> None:
    """A hook that raised is asked again now and then, not in every turn."""
    go = tmp_path / "go"
    site(tmp_path, "b.test")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(Raises, watch=watch, update_interval=0.2, load_timeout=60)
    for host in ("a.test", "b.test"):
        assert get(router.application, host).status == 200
    router.fails = True
    site(tmp_path, "b.test", "two")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, hangs(go) + app("2")))
    time.sleep(0.5)
    assert turns(router, 1) < 60
    router.fails = False
    wait((tmp_path / "go.begun").exists)
    assert turns(router, 1) < 60
    go.touch()
    wait_for(router.application, "a.test", "2")


def test_late_imports(tmp_path: Path, make_router: Any) -> None:
    go = tmp_path / "go"
    for number in range(6):
        site(tmp_path, f"h{number}.test", "one", app=hangs(go) + app("one"))
    router = make_router(load_timeout=0.2, sweep_interval=0)
    threads = [
        threading.Thread(target=get, args=(router.application, f"h{number}.test"))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait(lambda: turns(router, 0.5) == 0, "rest")
    go.touch()
    for number in range(6):
        wait_for(router.application, f"h{number}.test", "one")
