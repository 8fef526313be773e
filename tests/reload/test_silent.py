"""Sites whose file system does not answer: they go on with what they have, others do not notice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import get, wait_for
from tests.support.fuse import POSSIBLE, Mirror, mirror
from tests.support.log import logged
from tests.support.vhosts import app, deploy, release, site
from tests.support.waiting import wait

pytestmark = [
    pytest.mark.skipif(not POSSIBLE, reason="needs bindfs and FUSE"),
    pytest.mark.leaves_threads,  # what waits for the file system goes on when that answers
]
SOON = 5.0  # seconds; without a file system that hangs it takes milliseconds


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[tuple[Path, Mirror]]:
    """A directory on a file system that can stop answering; it answers again at the end."""
    (tmp_path / "served").mkdir()
    with ExitStack() as stack:
        mirrored = stack.enter_context(mirror(tmp_path / "served", tmp_path / "remote"))
        yield tmp_path / "remote", mirrored


def within(seconds: float, act: Any) -> Any:
    """What ``act`` returns; fails when it takes longer."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"not within {seconds:g} s"
    return found[0]


def test_one_site_among_others(
    tmp_path: Path,
    make_router: Any,
    remote: tuple[Path, Mirror],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    there, mirrored = remote
    base = tmp_path / "base"
    base.mkdir()
    for host in ("far.test", "cold.test"):
        site(there, host)
        (base / host).symlink_to(there / host)
    for number in (1, 2, 3):
        release(base, "near.test", number, app(str(number)))
    deploy(base, "near.test", base / ".builds/near.test/1")
    site(base, "new.test", "new")
    router = make_router(base_path=str(base), load_timeout=1)
    assert get(router.application, "far.test").body == "one"
    assert get(router.application, "near.test").body == "1"
    mirrored.stop()
    cold = threading.Thread(target=get, args=(router.application, "cold.test"))
    cold.start()
    assert within(SOON, lambda: get(router.application, "far.test").body) == "one"
    for number in (2, 3):
        deploy(base, "near.test", base / f".builds/near.test/{number}")
        within(SOON, lambda n=number: wait_for(router.application, "near.test", str(n)) or 1)
    assert within(SOON, lambda: get(router.application, "new.test").body) == "new"
    assert within(SOON, lambda: get(router.application, "none.test").status) == 404
    cold.join()
    wait(lambda: logged(caplog, "far.test: VAN017"), "the line")
    # An edit in place of another site, whose settling needs a second look.
    (base / ".builds/near.test/3/wsgi/app.py").write_text(app("edited"))
    within(SOON, lambda: wait_for(router.application, "near.test", "edited") or 1)
    assert logged(caplog, "far.test: VAN017") == 1
    mirrored.go_on()
    wait(lambda: logged(caplog, "far.test: its file system answers again"))
    site(there, "far.test", "two")
    wait_for(router.application, "far.test", "two")
    wait_for(router.application, "cold.test", "one")


def test_a_site_that_is_swapped_away_from_it(
    tmp_path: Path, make_router: Any, remote: tuple[Path, Mirror]
) -> None:
    """A hop on a file server leaves inotify on the local ones, and so the way out."""
    there, mirrored = remote
    site(there, "a.test", "remote")
    site(tmp_path / "local", "a.test", "local")
    base = tmp_path / "base"
    base.mkdir()
    deploy(base, "a.test", there / "a.test")
    router = make_router(base_path=str(base), update_interval=3600)
    assert get(router.application, "a.test").body == "remote"
    mirrored.stop()
    deploy(base, "a.test", tmp_path / "local/a.test")
    within(SOON, lambda: wait_for(router.application, "a.test", "local") or 1)
    mirrored.go_on()


def test_shutdown_is_not_held_up(
    tmp_path: Path, make_router: Any, remote: tuple[Path, Mirror]
) -> None:
    there, mirrored = remote
    site(there, "a.test")
    router = make_router(base_path=str(there))
    assert get(router.application, "a.test").body == "one"
    mirrored.stop()
    time.sleep(0.5)  # the poller is in the middle of it
    within(SOON, lambda: router.shutdown() or 1)
    mirrored.go_on()


def test_very_many_hosts_that_a_client_makes_up(
    tmp_path: Path, make_router: Any, remote: tuple[Path, Mirror]
) -> None:
    """Each would have a thread that waits for the file system."""
    there, mirrored = remote
    site(there, "a.test")
    router = make_router(base_path=str(there), load_timeout=0.01)
    wait_for(router.application, "a.test", "one")
    mirrored.stop()
    before = threading.active_count()
    statuses = {get(router.application, f"h{number}.test").status for number in range(600)}
    assert statuses == {503}
    assert threading.active_count() - before < 300
    assert len(router._engine.sites) <= 1 + 256 + 1024
    mirrored.go_on()
    wait(lambda: get(router.application, "h599.test").status == 404)


def test_the_wsgi_directory_is_the_root(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "root.test").mkdir()
    (tmp_path / "root.test/wsgi").symlink_to("/")
    for number in (1, 2):
        release(tmp_path, "near.test", number, app(str(number)))
    deploy(tmp_path, "near.test", tmp_path / ".builds/near.test/1")
    router = make_router(load_timeout=60)
    asking = threading.Thread(target=get, args=(router.application, "root.test"))
    asking.start()
    assert within(SOON, lambda: get(router.application, "near.test").body) == "1"
    deploy(tmp_path, "near.test", tmp_path / ".builds/near.test/2")
    within(SOON, lambda: wait_for(router.application, "near.test", "2") or 1)
    asking.join()
    assert get(router.application, "root.test").status == 500  # there is no app.py
    assert len(router._engine._watcher._table) < 100  # and not one for each directory below /
    router.shutdown()
    walking = ("van-files", "van-load-root.test")
    wait(lambda: not any(each.name in walking for each in threading.enumerate()), "the walks")
