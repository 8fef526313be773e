"""Changes at awkward moments: none is lost, none costs anything once it is settled."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sites import app, deploy, get, release, site, wait, wait_for, write

from mod_wsgi_van import Router
from mod_wsgi_van.cache import AppCache

HANGS = """
import os, time
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""


def hanging(base: Path, host: str, number: int) -> Path:
    """A release whose import ends when ``base/go`` exists."""
    return release(base, host, number, HANGS.format(go=str(base / "go")) + app("hung"))


def logged(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


def test_a_mend_before_a_hung_import_is_late(tmp_path: Path, make_router: Any) -> None:
    deploy(tmp_path, "a.test", hanging(tmp_path, "a.test", 1))
    router = make_router(load_timeout=1)
    waiting = threading.Thread(target=get, args=(router.application, "a.test"))
    waiting.start()
    time.sleep(0.2)
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, app("mended")))
    wait_for(router.application, "a.test", "mended")
    waiting.join()
    (tmp_path / "go").touch()


def test_a_vhost_deleted_while_a_late_reload_hangs(tmp_path: Path, make_router: Any) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(load_timeout=0.2)
    wait_for(router.application, "a.test", "1")
    deploy(tmp_path, "a.test", hanging(tmp_path, "a.test", 2))
    time.sleep(0.5)
    (tmp_path / "a.test").unlink()
    wait(lambda: get(router.application, "a.test").status == 404)
    (tmp_path / "go").touch()


def test_a_reload_that_finds_the_vhost_gone_retires_the_old_release(
    tmp_path: Path, make_router: Any
) -> None:
    gone = threading.Event()

    class Vanishing(Router):
        def get_version(self, path: Path) -> object:
            if gone.is_set() and threading.current_thread().name.startswith("van-load-"):
                shutil.rmtree(path, ignore_errors=True)
            return super().get_version(path)

    exited = str(tmp_path / "exited")
    exits = f"import atexit\natexit.register(lambda: open({exited!r}, 'w').close())\n"
    write(tmp_path / "a.test" / "wsgi" / "app.py", exits + app("1"))
    router = make_router(Vanishing)
    assert get(router.application, "a.test").body == "1"
    gone.set()
    (tmp_path / "a.test" / "wsgi" / "new.py").write_text("")
    wait(lambda: get(router.application, "a.test").status == 404)
    wait((tmp_path / "exited").exists, "the exit handlers")


def test_a_vhost_made_while_it_is_found_unknown(
    tmp_path: Path, make_router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = AppCache.forget

    def forget_later(self: AppCache, slot: Any, *arguments: Any) -> Any:
        site(tmp_path, "a.test", "made")
        time.sleep(0.3)  # the thread was preempted; the event comes and goes
        return forget(self, slot, *arguments)

    router = make_router(sweep_interval=0)
    monkeypatch.setattr(AppCache, "forget", forget_later)
    get(router.application, "a.test")
    monkeypatch.undo()
    wait_for(router.application, "a.test", "made")


def test_a_hook_that_exits_ends_nothing(tmp_path: Path, make_router: Any) -> None:
    class Exits(Router):
        exits = False

        def get_version(self, path: Path) -> object:
            if self.exits:
                raise SystemExit(3)
            return super().get_version(path)

    site(tmp_path, "a.test", "1")
    router = make_router(Exits)
    assert get(router.application, "a.test").body == "1"
    router.exits = True
    site(tmp_path, "a.test", "2")
    time.sleep(0.3)
    router.exits = False
    wait_for(router.application, "a.test", "2")


def test_a_slow_get_version_is_asked_often_enough(tmp_path: Path, make_router: Any) -> None:
    class Slow(Router):
        number = 1

        def get_version(self, path: Path) -> object:
            time.sleep(0.02)
            return self.number

    site(tmp_path, "a.test", "1")
    router = make_router(Slow)
    assert get(router.application, "a.test").body == "1"
    site(tmp_path, "a.test", "2")
    router.number = 2
    wait_for(router.application, "a.test", "2")


def test_a_get_version_that_needs_a_file_deployed_last(tmp_path: Path, make_router: Any) -> None:
    class Reads(Router):
        def get_version(self, path: Path) -> object:
            return (path / "VERSION").read_text()

    router = make_router(Reads)
    assert get(router.application, "a.test").status == 404
    site(tmp_path, "a.test", "1")
    time.sleep(0.3)
    (tmp_path / "a.test" / "VERSION").write_text("1")
    wait_for(router.application, "a.test", "1")


def test_an_import_that_writes_below_its_own_directory(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = "import pathlib, time\n"
    source += "(pathlib.Path(__file__).parent / 'stamp.txt').write_text(str(time.time()))\n"
    write(tmp_path / "a.test" / "wsgi" / "app.py", source + app("1"))
    router = make_router(settle=0.05)
    assert get(router.application, "a.test").body == "1"
    wait(lambda: logged(caplog, "VAN014"), "the warning")
    before = logged(caplog, "reloaded")
    time.sleep(1.5)
    assert logged(caplog, "reloaded") - before <= 4  # and not ten a second
    assert logged(caplog, "VAN014") == 1
    write(tmp_path / "a.test" / "wsgi" / "app.py", app("mended"))
    wait_for(router.application, "a.test", "mended")


def test_a_version_that_cannot_be_compared_harms_no_other(tmp_path: Path, make_router: Any) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    class Ours(Router):
        def get_version(self, path: Path) -> object:
            return Odd() if path.name == "a.test" else super().get_version(path)

    for host in ("a.test", "b.test"):
        site(tmp_path, host, "1")
    router = make_router(Ours, update_interval=60)
    for host in ("a.test", "b.test"):
        assert get(router.application, host).body == "1"
    for number in range(2, 10):
        site(tmp_path, "a.test", str(number))
        site(tmp_path, "b.test", str(number))
        wait_for(router.application, "b.test", str(number))


def test_four_imports_that_hang_do_not_delay_a_fifth_vhost(
    tmp_path: Path, make_router: Any
) -> None:
    hosts = [f"h{number}.test" for number in range(4)]
    for host in (*hosts, "a.test"):
        deploy(tmp_path, host, release(tmp_path, host, 1, app("1")))
    router = make_router(load_timeout=300)
    for host in (*hosts, "a.test"):
        wait_for(router.application, host, "1")
    for host in hosts:
        deploy(tmp_path, host, hanging(tmp_path, host, 2))
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, app("2")))
    wait_for(router.application, "a.test", "2")
    (tmp_path / "go").touch()
    for host in hosts:
        wait_for(router.application, host, "hung")


def test_nothing_spins_when_a_vhost_with_a_pending_edit_goes(
    tmp_path: Path, make_router: Any
) -> None:
    hang, block = threading.Event(), threading.Event()

    class Blocking(Router):
        def get_version(self, path: Path) -> object:
            if block.is_set() and threading.current_thread().name.startswith("van-load-"):
                hang.wait(20)
            return super().get_version(path)

    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(Blocking, load_timeout=0.3, settle=1, update_interval=60)
    wait_for(router.application, "a.test", "1")
    block.set()
    two = release(tmp_path, "a.test", 2, app("2"))
    deploy(tmp_path, "a.test", two)  # a reload that hangs in the hook, and is late
    time.sleep(0.6)
    (two / "wsgi" / "edit.py").write_text("")  # an edit, pending for a second
    time.sleep(0.2)
    os.unlink(tmp_path / "a.test")
    hang.set()  # the load ends: there is no such vhost
    wait(lambda: get(router.application, "a.test").status == 404)
    time.sleep(1)  # past the time at which the edit was due
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.5  # one busy thread takes 1


def test_shutdown_of_many_vhosts_collects_no_garbage_for_each(
    tmp_path: Path, make_router: Any
) -> None:
    for number in range(30):
        site(tmp_path, f"h{number}.test", "1")
    router = make_router()
    for number in range(30):
        assert get(router.application, f"h{number}.test").body == "1"
    collections = gc.get_stats()[2]["collections"]
    router.shutdown()
    assert gc.get_stats()[2]["collections"] - collections < 3
