"""What daemon processes of mod_wsgi tell on their sockets, and the commands make of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Serve
from integration.server.httpd import daemons
from integration.server.running import Running
from mod_wsgi_van.cli.asking import Line, Reply, processes
from tests.support.links import swap
from tests.support.places import open_directory
from tests.support.waiting import wait

HOST = "one.domain.org"
HANGS = """
import os, time
open({begun!r}, "w").close()
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""

Begin = Callable[..., Running]


@pytest.fixture
def directory() -> Iterator[Path]:
    """As setup makes it: the daemon's user may write there."""
    with open_directory() as path:
        status = path / "status"
        status.mkdir()
        if os.geteuid() == 0:
            shutil.chown(status, "www-data", "www-data")
        yield status


@pytest.fixture
def begin(serve: Serve, directory: Path) -> Begin:
    def begin(mode: str = "daemon", settings: str = "", count: int = 1) -> Running:
        given = ", ".join(filter(None, [f'status_directory="{directory}"', settings]))
        running = serve(mode, settings=given, changes=(("processes=1", f"processes={count}"),))
        running.tree.deploy(HOST, "trivial", 1)
        return running

    return begin


def told(directory: Path, host: str = HOST) -> Line:
    """The line of a site, of the only process."""
    (reply,) = processes(str(directory), site=host)
    assert not reply.error
    return reply.sites[0] if reply.sites else {"state": None}


def in_state(directory: Path, host: str, state: str) -> Line:
    wait(lambda: told(directory, host)["state"] == state, f"{host} is {state}")
    return told(directory, host)


def test_each_state_of_a_site(begin: Begin, directory: Path) -> None:
    running = begin(settings="load_timeout=0.5")
    assert running.ask(HOST).status == 200
    line = in_state(directory, HOST, "loaded")
    assert line["requests"] == 1
    old = line["release"]
    running.tree.deploy("broken.domain.org", "broken", 1)
    assert running.ask("broken.domain.org").status == 500
    assert in_state(directory, "broken.domain.org", "failed")["failure"]["code"] == "VAN002"
    running.tree.deploy(HOST, "broken", 2)
    line = in_state(directory, HOST, "holding")
    assert line["release"] == old
    assert line["reloads"] == {"ok": 0, "failed": 1}
    slow = running.tree.build("slow.domain.org", "trivial", 1)
    marks = {"begun": str(slow / "begun"), "go": str(slow / "go")}
    slow.chmod(0o777)
    app = slow / "wsgi/app.py"
    app.write_text(HANGS.format(**marks) + app.read_text())
    running.tree.swap("slow.domain.org", slow)
    assert running.ask("slow.domain.org").status == 503
    in_state(directory, "slow.domain.org", "loading")
    (slow / "go").touch()
    in_state(directory, "slow.domain.org", "loaded")


def test_a_site_that_the_spawner_refuses(begin: Begin, directory: Path) -> None:
    running = begin(settings='site_user="owner", spawner_socket="/nowhere"')
    assert running.ask(HOST).status == 500
    assert told(directory)["state"] == "refused"
    assert told(directory)["failure"]["code"] == "VAN050"


def test_the_figures_of_process_and_worker(begin: Begin, directory: Path) -> None:
    running = begin("workers")
    for _ in range(5):
        assert running.ask(HOST).status == 200
    (reply,) = processes(str(directory))
    process, (line,) = reply.process, reply.sites
    assert [process["pid"]] == daemons(running.httpd)
    assert process["server"].startswith("mod_wsgi ")
    assert process["process_group"] == "mod_wsgi_van"
    assert process["threads"] == 32
    assert process["watch"] == "inotify"
    (worker,) = line["workers"]
    assert (worker["requests"], line["requests"]) == (5, 5)
    assert worker["cpu_seconds"] > 0
    assert worker["private_bytes"] > 1_000_000
    assert Path(f"/proc/{worker['pid']}").exists()
    assert line["in_progress"] == 0


def test_nothing_of_a_sites_secrets_is_told(begin: Begin, directory: Path) -> None:
    running = begin()
    for host in (HOST, "broken.domain.org"):
        release = running.tree.build(host, "trivial", 2)
        (release / "shared").mkdir()
        (release / "shared/.env").write_text("HIDDEN_NAME=hidden-value\n")
        running.tree.swap(host, release)
    wsgi = running.tree.wsgi("broken.domain.org")
    (wsgi / "app.py").write_text("import os\nraise OSError(os.environ['HIDDEN_NAME'])\n")
    assert running.ask(HOST).status == 200
    assert running.ask("broken.domain.org").status == 500
    text = json.dumps([reply.sites for reply in processes(str(directory))])
    assert "VAN002" in text
    assert "hidden" not in text.lower()


def test_restarts_leave_no_dead_sockets(begin: Begin, directory: Path) -> None:
    running = begin(count=2)

    def answering() -> list[Reply]:
        assert running.ask(HOST).status == 200
        found = processes(str(directory), site=HOST)
        alive = set(daemons(running.httpd))
        both = len(alive) == 2 and {reply.process.get("pid") for reply in found} == alive
        return found if both else []

    assert len(wait(answering, "both processes")) == 2
    running.httpd.signal_and_wait(signal.SIGUSR1)
    wait(answering, "both new processes")
    (killed, *_) = daemons(running.httpd)
    os.kill(killed, signal.SIGKILL)
    wait(answering, "the process in place of the killed one")
    assert {path.name for path in directory.iterdir()} == set(map(str, daemons(running.httpd)))


def test_one_process_that_holds_the_old_release_is_told(begin: Begin, directory: Path) -> None:
    running = begin(count=2)

    def both() -> list[Reply]:
        running.ask(HOST)
        found = processes(str(directory), site=HOST)
        return found if len([each for each in found if each.sites]) == 2 else []

    first, _ = wait(both, "both have it")
    release = running.tree.build(HOST, "trivial", 2)
    app = release / "wsgi/app.py"
    text = f"import os\nassert os.getpid() != {first.process['pid']}, 'not here'\n"
    app.write_text(text + app.read_text())
    swap(running.layout.base / HOST, release)

    def states() -> list[str]:
        return sorted(each.sites[0]["state"] for each in processes(str(directory), site=HOST))

    wait(lambda: states() == ["holding", "loaded"], "one of them fails")
    lines = [each.sites[0] for each in processes(str(directory))]
    (new,) = [line["release"] for line in lines if line["state"] == "loaded"]
    (old,) = [line["release"] for line in lines if line["state"] == "holding"]
    assert (old, new) == (first.sites[0]["release"], str(release))


def test_a_restart_is_asked_for(begin: Begin, directory: Path) -> None:
    running = begin()
    before = running.ask(HOST).body
    processes(str(directory), "restart", HOST)
    wait(lambda: told(directory)["loads"]["count"] == 2, "the second load")
    assert running.ask(HOST).body == before
    processes(str(directory), "drain")
    assert processes(str(directory))[0].process["draining"] is True
