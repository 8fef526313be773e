"""Every table that a client can make grow has a bound; a shared release has its last site."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.sites.release import Answer, Lease, Release, State
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.sites.table import STRANGERS, Sites
from tests.support.client import get, wait_for
from tests.support.vhosts import site


def _answer(environ: Any, start_response: Any) -> Any:
    raise NotImplementedError


def test_strangers_are_forgotten_oldest_first() -> None:
    sites, answer = Sites(strangers=3), Answer(_answer)
    evicted = []
    for number in range(5):
        each = sites.site(f"h{number}", Path(f"/h{number}"))
        marked = sites.mark_missing(each, answer)
        assert marked is not None
        evicted += marked[1]
    assert [each.host for each in evicted] == ["h0", "h1"]
    assert len(sites) == 3
    assert all(sites.by_key(each.key) is None for each in evicted)


def test_a_stranger_that_is_loaded_is_not_evicted() -> None:
    sites, answer = Sites(strangers=1), Answer(_answer)
    first = sites.site("a", Path("/a"))
    sites.mark_missing(first, answer)
    sites.reset(first)
    attempt, mine = sites.begin(first, 1.0)
    assert attempt is not None and mine
    sites.mark_missing(sites.site("b", Path("/b")), answer)
    assert sites.site("a", Path("/a")) is first


def test_an_attempt_that_cannot_begin_leaves_nothing_that_grows() -> None:
    sites = Sites(strangers=3)
    for number in range(10):
        attempt, _ = sites.begin(sites.site(f"h{number}", Path(f"/h{number}")), 1.0)
        assert attempt is not None
        sites.give_up(attempt)
        assert attempt.done.is_set()
    assert len(sites) == 3


def test_spellings_of_a_host(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "a.test")
    router = make_router()
    for number in range(2000):
        assert get(router.application, f"a.test:{number + 1}").body == "one"
    assert len(router._engine.sites.memo) < 300


def test_hosts_that_are_not_there(tmp_path: Path, make_router: Any) -> None:
    router = make_router()
    for number in range(STRANGERS + 100):
        assert get(router.application, f"h{number}.test").status == 404
    engine = router._engine
    assert len(engine.sites) == STRANGERS
    assert len(engine._watcher._table.keys()) <= STRANGERS
    site(tmp_path, f"h{STRANGERS + 99}.test", "made")
    wait_for(router.application, f"h{STRANGERS + 99}.test", "made")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_hosts_below_a_base_that_may_not_be_entered(tmp_path: Path) -> None:
    """Whether there are such sites cannot be told; the log says why once, not for each."""
    (tmp_path / "base").mkdir(mode=0o700)
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        directory.chmod(directory.stat().st_mode | 0o055)
    program = f"""
    import os, sys
    sys.path[:0] = {os.pathsep.join(sys.path)!r}.split(os.pathsep)
    from tests.support.client import get
    from mod_wsgi_van import Router
    router = Router(base_path={str(tmp_path / "base")!r})
    get(router.application, "warm.test")
    os.setegid(65534); os.seteuid(65534)
    statuses = {{get(router.application, f"h{{n}}.test").status for n in range({STRANGERS} + 200)}}
    engine = router._engine
    changes = engine._reloads._changes
    tables = (changes._pending, changes._failing, changes._taken, changes._looks._again)
    print(statuses, len(engine.sites), len(engine._watcher._polled), sum(map(len, tables)))
    os.seteuid(0)
    router.shutdown()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["{500}", str(STRANGERS), str(STRANGERS), "0"], done.stdout
    assert done.stderr.count("VAN015") == 1, done.stderr


def test_texts_that_are_said_once(tmp_path: Path, make_router: Any, caplog: Any) -> None:
    caplog.set_level(logging.ERROR)
    engine = make_router()._engine
    for number in range(5000):
        engine.complain(f"VAN008: {number}")
    assert len(caplog.records) == len(engine._complained) == 1000


def test_requests_leave_a_trace_while_somebody_looks(tmp_path: Path, make_router: Any) -> None:
    site(tmp_path, "a.test")
    router = make_router()
    sites = router._engine.sites
    assert sites.idle()
    for _ in range(2):
        assert get(router.application, "a.test").status == 200
    assert not sites.idle()
    assert sites.idle()
    assert get(router.application, "a.test").status == 200
    assert get(router.application, "a.test").status == 200
    assert not sites.idle()


def shared_release(sites: Sites) -> tuple[list[Site], Release]:
    """Two sites of one directory, of which one has a release."""
    state = State("version", "/a/wsgi", place=(1, 2))
    application: Any = list
    release = Release(application, Lease("/a/wsgi"), application, state, "imports", "origin")
    both = [sites.site(host, Path("/", host)) for host in "ab"]
    for one in both:
        attempt, _ = sites.begin(one, 1.0)
        assert attempt is not None
        attempt.state = state
        others = sites.meet(attempt, (1, 2))
        if one is both[0]:
            assert others == []
            assert sites.install(attempt, release) == (True, None)
        else:
            assert others == [both[0]]
            assert sites.share(attempt, both[0], "other origin") is None
            assert sites.share(attempt, both[0], "origin") == (True, None)
    return both, release


def test_a_release_is_let_go_by_the_last_of_its_sites() -> None:
    sites, answer = Sites(), Answer(lambda environ, start_response: [])
    both, release = shared_release(sites)
    assert sites.mark_missing(both[0], answer) == (None, [])
    assert sites.mark_missing(both[1], answer) == (release, [])
    again, _ = sites.begin(both[0], 1.0, reload=True)
    assert again is not None
    assert sites.meet(again, (1, 2)) == []


def test_a_release_that_is_shared_is_closed_once() -> None:
    sites = Sites()
    both, release = shared_release(sites)
    assert [each for _, each in sites.close()] == [release]
    attempt, _ = sites.begin(both[0], 1.0, reload=True)
    assert attempt is not None
    attempt.state = release.state
    both[0].release = None
    assert sites.share(attempt, both[1], "origin") == (False, None)
    assert attempt.done.is_set()
