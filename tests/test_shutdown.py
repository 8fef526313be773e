"""A shutdown comes to its end, whatever the applications do: mod_wsgi kills after 5 seconds."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import get
from tests.support.vhosts import app, deploy, hangs, release, write
from tests.support.waiting import wait

MOD_WSGI_KILLS = 5.0  # seconds: its default shutdown-timeout

EXITS_NEVER = """
import atexit, os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN) if {worker} else None
def handler():
    while not os.path.exists({go!r}):
        time.sleep(0.01)
atexit.register(handler)
"""


@pytest.mark.leaves_threads  # exit handlers and imports that hang
def test_everything_hangs(tmp_path: Path, make_router: Any) -> None:
    go = tmp_path / "go"

    class Mixed(type(make_router())):  # type: ignore[misc]
        def get_isolation(self, path: Path) -> str:
            return "process" if path.name.startswith("worker") else "imports"

    for number in range(3):
        for kind in ("worker", "here"):
            never = EXITS_NEVER.format(worker=kind == "worker", go=str(go))
            host = f"{kind}{number}.test"
            write(tmp_path / host / "wsgi/app.py", never + app("one"))
    replaced = EXITS_NEVER.format(worker=False, go=str(go))
    deploy(tmp_path, "old.test", release(tmp_path, "old.test", 1, replaced + app("1")))
    for kind in ("worker", "here"):
        write(tmp_path / f"{kind}-loading.test/wsgi/app.py", hangs(tmp_path / kind) + app("late"))
    router = make_router(Mixed, shutdown_timeout=60, load_timeout=60)
    hosts = [f"{kind}{number}.test" for kind in ("worker", "here") for number in range(3)]
    for host in (*hosts, "old.test"):
        assert get(router.application, host).status == 200
    deploy(tmp_path, "old.test", release(tmp_path, "old.test", 2, app("2")))
    wait(lambda: get(router.application, "old.test").body == "2")
    waiting = [
        threading.Thread(target=get, args=(router.application, f"{kind}-loading.test"), daemon=True)
        for kind in ("worker", "here")
    ]
    for thread in waiting:
        thread.start()
    for kind in ("worker", "here"):
        wait((tmp_path / f"{kind}.begun").exists)
    begin = time.monotonic()
    router.shutdown()
    assert time.monotonic() - begin < MOD_WSGI_KILLS
    for name in ("go", "here", "worker"):
        (tmp_path / name).touch()
    for thread in waiting:
        thread.join()


def test_a_release_replaced_while_the_router_ends_is_retired(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mod_wsgi_van")
    ended, exited = threading.Event(), tmp_path / "exited"
    exits = f"import atexit, pathlib\natexit.register(pathlib.Path({str(exited)!r}).touch)\n"
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, exits + app("1")))
    router = make_router()
    assert get(router.application, "a.test").body == "1"

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "reloaded" in record.getMessage():
                ended.wait(30)  # the new release is installed by then

    package, slow = logging.getLogger("mod_wsgi_van"), Slow()
    package.addHandler(slow)
    try:
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, app("2")))
        wait(lambda: get(router.application, "a.test").body == "2")
        router.shutdown()
    finally:
        ended.set()
        package.removeHandler(slow)
    wait(exited.exists, "the exit handler of the old release")
