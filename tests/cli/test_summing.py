"""Several processes that tell of one site."""

from __future__ import annotations

from typing import Any

from mod_wsgi_van.cli import tables
from mod_wsgi_van.cli.asking import Reply
from mod_wsgi_van.cli.summing import Standing, standings


def reply(pid: int, **line: Any) -> Reply:
    usual = {
        "site": "one.test",
        "path": "/www/one.test",
        "state": "loaded",
        "release": "/www/.sites/one.test/releases/2",
        "since": 20.0,
        "isolation": "imports",
        "reason": "pure",
        "python": "3.11.2",
        "requests": 5,
        "in_progress": 1,
        "queue": 0,
        "refused": {"share": 2},
        "last_use": None,
        "workers": [],
        "failure": None,
        "attempts": 1,
        "loads": {"count": 1, "seconds": 0.1, "last_seconds": 0.1},
        "reloads": {"ok": 0, "failed": 0},
        "worker_restarts": {},
    }
    return Reply(f"/run/{pid}", {"pid": pid}, (usual | line,))


def test_equal_ones_are_summed() -> None:
    (site,) = standings([reply(1), reply(2)])
    assert site.state == "loaded"
    assert site.sum(lambda line: line["requests"]) == 10
    assert site.reasons("refused") == "4 share"
    assert site.differences() == []


def test_a_process_that_holds_the_old_release_is_named() -> None:
    failure = {"code": "VAN007", "text": "no worker", "time": 30.0}
    old = "/www/.sites/one.test/releases/1"
    holding = reply(2, state="holding", release=old, since=10.0, failure=failure)
    (site,) = standings([reply(1), holding])
    assert site.state == "holding"
    assert site.release.endswith("/2")
    assert site.differences() == [
        "process 1 is loaded",
        f"process 2 has {old}, and is holding",
    ]
    text = "\n".join(tables.details(site))
    assert f"differs:         process 2 has {old}, and is holding" in text
    assert "VAN007" in text


def test_one_that_nobody_knows() -> None:
    assert Standing("one.test", {}).state == "unloaded"
