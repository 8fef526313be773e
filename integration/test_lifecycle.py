"""Restarts, recycling, several processes, and what an operator finds in the error log."""

from __future__ import annotations

import os
import re
import signal
import threading

from integration.conftest import Serve
from integration.load import Load
from integration.server.flavours import Flavour
from integration.server.httpd import daemons
from integration.server.running import Running
from tests.support.waiting import wait

HOST = "one.domain.org"
SECOND = "two.domain.org"


def pids(running: Running, host: str = HOST) -> int:
    return int(running.ask(host).json["pid"])


def start(serve: Serve, mode: str, *changes: tuple[str, str]) -> Running:
    running = serve(mode, changes=changes)
    for host in (HOST, SECOND):
        running.tree.deploy(host, "plain", 1)
    return running


def test_graceful_restarts_under_load_lose_nothing_that_was_begun(serve: Serve, mode: str) -> None:
    """mod_wsgi itself refuses what comes in the moment in which its daemon is replaced.

    It does so without a router too (36 of 1,594 answers over 10 restarts, 4.9.4), so in daemon mode
    what counts is that no request that reached the application goes unanswered.
    """
    running = serve(mode)
    records = [running.tree.deploy(host, "recording", 1) / "begun" for host in (HOST, SECOND)]
    for record in records:
        record.touch()
        record.chmod(0o666)
    before = pids(running)
    with Load(running.port, [HOST, SECOND]) as load:
        for _ in range(3):
            load.wait_for(50)
            running.httpd.signal_and_wait(signal.SIGUSR1)
        load.wait_for(50)
    begun = {line for record in records for line in record.read_text().split()}
    assert not begun - load.answered
    assert pids(running) != before
    if mode == "embedded":
        assert not load.bad, load.bad[:5]
    else:
        # What reaches a router whose workers have been told to end is refused, too: with a 503.
        allowed = (APACHES_OWN, "not 200: 503") if mode == "workers" else (APACHES_OWN,)
        others = [bad for bad in load.bad if not any(text in bad for text in allowed)]
        assert not others, others[:5]


# Of the error page that httpd makes itself; the router's and the application's have none.
APACHES_OWN = "<!DOCTYPE HTML PUBLIC"


def test_a_touch_of_the_wsgi_file_starts_a_new_router(serve: Serve) -> None:
    running = start(serve, "daemon")
    before = pids(running)
    with Load(running.port, [HOST, SECOND]) as load:
        load.wait_for(50)
        running.touch_wsgi_file()
        wait(lambda: pids(running) != before, "another process answers", tell=running.httpd.log)
        load.wait_for(50)
    assert not load.bad, load.bad[:5]
    wait(lambda: before not in daemons(running.httpd), "the old process ends")


def test_maximum_requests_recycles_without_loss(serve: Serve) -> None:
    running = start(serve, "daemon", ("maximum-requests=100000", "maximum-requests=200"))
    with Load(running.port, [HOST, SECOND]) as load:
        load.wait_for(500)
    assert not load.bad, load.bad[:5]
    assert len({pid for _, pid in load.newest}) >= 3


def test_two_daemon_processes_each_reload(serve: Serve) -> None:
    running = start(serve, "daemon", ("processes=1", "processes=2"))
    with Load(running.port, [HOST] * 6 + [SECOND] * 2) as load:
        for number in range(2, 22):
            running.tree.deploy(HOST, "plain", number)

            def live(wanted: int = number) -> bool:
                newest = [seen for (host, _), seen in load.newest.items() if host == HOST]
                return len(newest) == 2 and min(newest) == wanted

            wait(live, f"release {number} in both processes", tell=running.httpd.log)
    assert not load.bad, load.bad[:5]


def test_the_daemon_ends_by_itself(serve: Serve) -> None:
    running = start(serve, "daemon")
    assert running.ask(HOST).status == 200
    (daemon,) = daemons(running.httpd)
    running.httpd.stop()
    assert running.httpd.lines(rf"pid {daemon}:.*Exiting (daemon )?process"), running.httpd.log()
    assert "Traceback" not in running.httpd.log()


def test_a_sub_interpreter_serves_and_is_warned_of(serve: Serve) -> None:
    """How it ends is not asked: 4.9.4 hangs in one on Python 3.11, whatever the script."""
    running = start(serve, "daemon", ("%{GLOBAL}", "%{SERVER}"))
    with Load(running.port, [HOST, SECOND]) as load:
        load.wait_for(50)
        running.tree.deploy(HOST, "plain", 2)
        wait(lambda: 2 in load.newest.values(), "the new release", tell=running.httpd.log)
    assert not load.bad, load.bad[:5]
    assert len(running.httpd.lines("VAN012.*sub-interpreter")) == 1


def test_the_daemon_is_what_the_manual_says(serve: Serve, flavour: Flavour) -> None:
    running = serve("daemon")
    assert running.httpd.lines(rf"mod_wsgi/{re.escape(flavour.name)} Python/3.*resuming normal")
    running.tree.deploy(HOST, "inside")
    said = running.ask(HOST).json
    assert said["encodings"] == ["utf-8", "utf-8"]
    assert said["lang"] == "C.UTF-8"
    assert said["application_group"] == ""
    assert said["process_group"] == "mod_wsgi_van"
    if os.geteuid() == 0:
        assert said["user"] == "www-data"


def test_a_router_subclass_beside_the_wsgi_file(serve: Serve) -> None:
    """What python-path is for."""
    running = serve("daemon", wsgi_changes=(("mod_wsgi_van import", "router import"),))
    text = (
        "from mod_wsgi_van import Router as Base\n\n\nclass Router(Base):\n    wsgi_dir = 'code'\n"
    )
    (running.layout.etc / "router.py").write_text(text)
    release = running.tree.build(HOST, "plain", 1)
    (release / "wsgi").rename(release / "code")
    running.tree.swap(HOST, release)
    assert running.ask(HOST).status == 200


def test_a_request_in_flight_outlives_its_release(serve: Serve, mode: str) -> None:
    running = serve(mode)
    built = running.tree.deploy(HOST, "wsgi", 1)
    old = running.ask(HOST).json["load"]
    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(running.ask(HOST, "/wait").body))
    waiting.start()
    wait(lambda: running.ask(HOST, "/counts").json["waiting"] == 1, "the request has begun")
    running.tree.deploy(HOST, "plain", 2)
    wait(lambda: "seen" in running.ask(HOST).json, "the new release", tell=running.httpd.log)
    assert waiting.is_alive()
    (built / "go").touch()
    waiting.join()
    assert answers == [old]


def test_the_log_tells_each_event_once(serve: Serve) -> None:
    running = start(serve, "daemon")
    assert running.ask(HOST).status == 200
    first = (running.tree.base / HOST).resolve()
    second = running.tree.deploy(HOST, "plain", 2)
    wait(lambda: running.ask(HOST).json["seen"][0][1] == "2", "the new release")
    running.tree.delete(HOST)
    wait(lambda: running.ask(HOST).status == 404, "the vhost is gone")
    httpd = running.httpd
    loaded = httpd.lines(rf"{HOST}: loaded {first}/wsgi in \d+ ms")
    reloaded = httpd.lines(rf"{HOST}: reloaded in \d+ ms: {first}/wsgi -> {second}/wsgi")
    unloaded = httpd.lines(f"{HOST}: unloaded: {running.tree.base / HOST}/wsgi is gone")
    assert [len(lines) for lines in (loaded, reloaded, unloaded)] == [1, 1, 1], httpd.log()
    assert len(httpd.lines(f"{HOST}: ")) == 3, httpd.log()
    assert all("[wsgi:error]" in line for line in loaded + reloaded + unloaded)


def inotify_instances(pid: int) -> int:
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(f"/proc/{pid}/fd/{name}") == "anon_inode:inotify"
        except OSError:
            pass
    return found


def test_embedded_a_touched_script_leaves_no_router_behind(serve: Serve) -> None:
    """httpd's children load the script again in place: the router before it ends."""
    running = start(serve, "embedded")
    children: set[int] = set()
    for _ in range(6):
        for _ in range(30):
            children.add(pids(running))
        running.touch_wsgi_file()
    for _ in range(30):
        children.add(pids(running))
    assert children
    for child in children:
        wait(
            lambda child=child: inotify_instances(child) <= 1,  # type: ignore[misc]
            "one router in each child",
            tell=lambda: running.httpd.log()[-2000:],
        )
