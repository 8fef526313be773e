"""What the daemon processes say, and when that is enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.reports import Said, await_gone, await_live, await_maintenance

NEW = Path("/srv/new")


def line(state: str, release: str = "", **more: Any) -> dict[str, Any]:
    return {"state": state, "release": release, "failure": None, **more}


def answers(*each: Said) -> Callable[[], Said]:
    """What is said the first time, the second time and so on; the last one from then on."""
    left = list(each)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_release_is_waited_for_in_maintenance_too() -> None:
    held = [line("maintenance", "/srv/old")]
    ask = answers(held, held, [line("maintenance", str(NEW))])
    assert await_live(ask, NEW, time.time(), 5) == "1 of 1 daemon processes have it live"
    assert "first request" in await_live(answers([line("maintenance")]), NEW, time.time(), 5)
    failure = {"code": "VAN002", "text": "no database", "time": time.time() + 1}
    with pytest.raises(DeployFailed, match="VAN002\nno database"):
        ask = answers([line("maintenance", "/srv/old") | {"failure": failure}])
        await_live(ask, NEW, time.time(), 5)


def test_a_site_is_gone_when_its_last_request_is_over() -> None:
    ask = answers([line("loaded"), {}], [line("unloaded", retiring=1), {}], [line("unloaded"), {}])
    assert await_gone(ask, 5) == "none of 2 daemon processes has it"
    assert await_gone(answers([]), 5) == "not asked: no daemon process listens"
    assert await_gone(answers(["no answer"]), 5).endswith("; no answer")
    with pytest.raises(DeployFailed, match="1 daemon processes do not let go"):
        await_gone(answers([line("loaded")]), -20)


def test_maintenance_is_on_when_all_have_noticed() -> None:
    loaded, held = line("loaded", "/srv/old", in_progress=0), line("maintenance", in_progress=2)
    ask = answers([loaded, held], [held, {}, line("unloaded")])
    told = "3 of 3 daemon processes have noticed; 2 requests are under way"
    assert await_maintenance(ask, True) == told
    assert await_maintenance(answers([held], [loaded]), False) == (
        "1 of 1 daemon processes have noticed"
    )
    assert await_maintenance(answers([]), True) == "not asked: no daemon process listens"
