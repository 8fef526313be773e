"""Deploys: live at once, atomic under load, and never making things worse."""

from __future__ import annotations

import os
import time
from statistics import median

import pytest

from integration import comparison
from integration.conftest import Serve
from integration.load import Load
from integration.server.flavours import Flavour
from integration.server.running import Running
from integration.sites.libraries import FLASK3
from tests.support.connection import Connection
from tests.support.environments import environment
from tests.support.waiting import wait

HOST = "one.domain.org"
SECOND = "two.domain.org"


def release(running: Running, host: str = HOST) -> int:
    answer = running.ask(host)
    assert answer.status == 200, answer
    return int(answer.json["seen"][0][1])


def load_id(running: Running, host: str = HOST) -> str:
    answer = running.ask(host)
    assert answer.status == 200, answer
    return str(answer.json["load"])


def live_after(running: Running, number: int, *, host: str = HOST) -> float:
    """Swap in a release that is built before; return the seconds until it answered."""
    built = running.tree.build(host, "plain", number)
    connection = Connection(running.port)
    try:
        running.tree.swap(host, built)
        start = time.perf_counter()
        wait(
            lambda: connection.ask(host).json["seen"][0][1] == str(number),
            f"release {number} answers",
            pause=0,
            tell=running.httpd.log,
        )
        return time.perf_counter() - start
    finally:
        connection.close()


@pytest.mark.parametrize("watch", ["inotify", "polling"])
def test_swaps_go_live(serve: Serve, flavour: Flavour, mode: str, watch: str) -> None:
    running = serve(mode, settings=f'watch="{watch}", update_interval=0.1')
    running.tree.deploy(HOST, "plain", 0)
    assert release(running) == 0
    count = 20 if watch == "inotify" else 3
    taken = [live_after(running, number) * 1000 for number in range(1, count + 1)]
    if watch == "inotify":
        text = f"median {median(taken):.1f} ms, max {max(taken):.1f} ms"
        comparison.record("swap to live", f"{flavour.name} {mode}", text)


# Flask's import competes with the load for the interpreter and takes most of a second each time.
@pytest.mark.parametrize(("application", "count"), [("plain", 100), ("lazy", 20), ("flask", 10)])
def test_deploys_under_load(
    serve: Serve, flavour: Flavour, mode: str, application: str, count: int
) -> None:
    running = serve(mode)
    if mode == "workers":  # each deploy starts a process, under a load that has both cores
        count = min(count, 30)
    env = environment(flavour.python, FLASK3) if application == "flask" else None
    for host in (HOST, SECOND):
        running.tree.deploy(host, application, 0, env=env)
    before = load_id(running, SECOND)
    with Load(running.port, [HOST] * 6 + [SECOND] * 2, one_router=True) as load:
        load.wait_for(20)
        for number in range(1, count + 1):
            running.tree.deploy(HOST, application, number, env=env)
            wait(
                lambda wanted=number: wanted in load.newest.values(),  # type: ignore[misc]
                f"release {number} is seen",
                tell=lambda: "\n".join(load.bad[:5]) + running.httpd.log()[-5000:],
            )
    if application == "plain":
        comparison.record(
            "100 deploys under load",
            f"{flavour.name} {mode}",
            f"{len(load.bad)} bad of {load.total} answers over {count} deploys",
        )
    assert not load.bad, load.bad[:5]
    assert release(running) == count
    assert load_id(running, SECOND) == before, "the other vhost was loaded again"


def test_deploys_faster_than_they_load_end_with_the_last(serve: Serve, mode: str) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "plain", 0)
    with Load(running.port, [HOST], connections=2, one_router=True) as load:
        load.wait_for(20)
        for number in range(1, 101):
            running.tree.deploy(HOST, "plain", number)
        wait(lambda: release(running) == 100, "the last release answers", tell=running.httpd.log)
    assert not load.bad, load.bad[:5]


@pytest.mark.parametrize("broken", ["broken", "exits"])
def test_a_failing_release_leaves_the_old_one(
    serve: Serve, flavour: Flavour, mode: str, broken: str
) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "plain", 1)
    before = load_id(running)
    with Load(running.port, [HOST], one_router=True) as load:
        load.wait_for(20)
        running.tree.deploy(HOST, broken, 2)
        running.httpd.wait_for_line("VAN002")
        load.wait_for(100)
    assert not load.bad, load.bad[:5]
    assert load_id(running) == before
    assert len(running.httpd.lines("VAN002")) == 1, running.httpd.log()
    running.tree.deploy(HOST, "plain", 3)
    wait(lambda: release(running) == 3, "the repaired release answers", tell=running.httpd.log)
    row = (
        "sys.exit() at import" if broken == "exits" else "broken deploy over a working application"
    )
    text = "the old release goes on; one error line; the next deploy is live"
    comparison.record(row, f"{flavour.name} {mode}", text)


def test_a_vhost_broken_from_the_start_is_tried_once_per_change(serve: Serve, mode: str) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "broken")
    for _ in range(20):
        answer = running.ask(HOST)
        assert answer.status == 500
        assert "Traceback" not in answer.body
    assert len(running.httpd.lines("VAN002")) == 1, running.httpd.log()
    assert len(running.httpd.lines("this release of one is broken")) >= 1
    (running.tree.wsgi(HOST) / "app.py").write_text("raise RuntimeError('still')\n")
    running.httpd.wait_for_line("still")
    running.tree.deploy(HOST, "plain", 2)
    wait(lambda: running.ask(HOST).status == 200, "it recovers", tell=running.httpd.log)


def same_mtimes(running: Running) -> None:
    old = (running.tree.base / HOST).resolve()
    new = running.tree.build(HOST, "plain", 2)
    for path in (new, *new.rglob("*")):
        times = os.stat(old / path.relative_to(new))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    running.tree.swap(HOST, new)


def edit_in_place(running: Running) -> None:
    for name in ("app.py", "helper.py"):
        path = running.tree.wsgi(HOST) / name
        with path.open("r+") as file:
            text = file.read().replace('"1"', '"2"')
            file.seek(0)
            file.write(text)


def atomic_save(running: Running) -> None:
    for name in ("app.py", "helper.py"):
        path = running.tree.wsgi(HOST) / name
        new = path.with_name(f".{name}.tmp")
        new.write_text(path.read_text().replace('"1"', '"2"'))
        new.rename(path)


def touch(running: Running) -> None:
    running.tree.wsgi(HOST).touch()


def new_file_in_subpackage(running: Running) -> None:
    (running.tree.wsgi(HOST) / "package" / "new.py").write_text("NEW = 1\n")


CHANGES = {
    "release with the same mtimes": (same_mtimes, "2"),
    "edit in place": (edit_in_place, "2"),
    "new file in a subpackage": (new_file_in_subpackage, "1"),
    "atomic save": (atomic_save, "2"),
    "touch": (touch, "1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(serve: Serve, flavour: Flavour, mode: str, change: str) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "plain", 1)
    package = running.tree.wsgi(HOST) / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    before = load_id(running)
    act, expected = CHANGES[change]
    act(running)
    wait(lambda: load_id(running) != before, "it is loaded again", tell=running.httpd.log)
    assert running.ask(HOST).json["seen"] == [["one", expected]] * 2
    if change in comparison.THEIRS:
        comparison.record(change, f"{flavour.name} {mode}", "noticed")


def test_reading_and_bytecode_reload_nothing(serve: Serve, mode: str) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "lazy", 1)
    before = load_id(running)
    wsgi = running.tree.wsgi(HOST)
    (wsgi / "__pycache__").mkdir(exist_ok=True)
    (wsgi / "__pycache__" / "other.pyc").write_bytes(b"x")
    (wsgi / ".app.py.swp").write_bytes(b"x")
    [path.read_bytes() for path in wsgi.rglob("*.py")]
    # A later deploy of another vhost goes live: the events before it have been looked at by then.
    running.tree.deploy(SECOND, "plain", 1)
    assert release(running, SECOND) == 1
    live_after(running, 2, host=SECOND)
    assert load_id(running) == before
    assert not running.httpd.lines(f"{HOST}: reloaded"), running.httpd.log()


def test_delete_and_recreate(serve: Serve, mode: str) -> None:
    running = serve(mode)
    running.tree.deploy(HOST, "plain", 1)
    assert release(running) == 1
    running.tree.delete(HOST)
    wait(lambda: running.ask(HOST).status == 404, "the vhost is gone", tell=running.httpd.log)
    running.tree.deploy(HOST, "plain", 2)
    wait(lambda: running.ask(HOST).status == 200, "the vhost is back", tell=running.httpd.log)
    assert release(running) == 2
