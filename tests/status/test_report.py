"""What a process tells of its sites."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.cli.asking import processes
from tests.status.asked import ask, told
from tests.support.children import in_child
from tests.support.client import Call, get, make_environ, wait_for
from tests.support.links import swap
from tests.support.vhosts import app, hangs, release, site, write
from tests.support.waiting import wait

MakeRouter = Callable[..., Router]
BROKEN = "raise RuntimeError('no database')\n"


@pytest.fixture
def router(make_router: MakeRouter, directory: Path, tmp_path: Path) -> Router:
    site(tmp_path, "one.test", "first")
    return make_router(status_directory=str(directory), settle=0)


def test_the_process_says_what_it_is(router: Router, directory: Path, tmp_path: Path) -> None:
    get(router.application, "one.test")
    (each,) = processes(str(directory))
    assert each.error == ""
    process = each.process
    assert process["pid"] == os.getpid()
    assert process["base_path"] == str(tmp_path)
    assert process["watch"] in ("inotify", "polling")
    assert not process["draining"]
    assert process["private_bytes"] > 1_000_000
    assert abs(process["started"] - time.time()) < 60


def test_a_loaded_site(router: Router, directory: Path, tmp_path: Path) -> None:
    before = time.time()
    for _ in range(3):
        get(router.application, "one.test")
    line = told(directory, "one.test")
    assert line["state"] == "loaded"
    assert line["release"] == str((tmp_path / "one.test").resolve())
    assert line["path"] == str(tmp_path / "one.test")
    assert (line["isolation"], line["reason"]) == ("imports", "it has no environment")
    assert line["requests"] == 3
    assert line["in_progress"] == line["queue"] == 0
    assert before <= line["since"] <= line["last_use"] <= time.time()
    assert line["loads"]["count"] == 1
    assert line["loads"]["seconds"] == line["loads"]["last_seconds"] > 0
    assert line["failure"] is None
    assert line["workers"] == []


def test_requests_are_counted_through_a_deploy_and_under_other_threads(
    make_router: MakeRouter, directory: Path, tmp_path: Path
) -> None:
    swap(tmp_path / "one.test", release(tmp_path, "one.test", 1, app("first")))
    router = make_router(status_directory=str(directory))

    def many() -> None:
        for _ in range(200):
            get(router.application, "one.test")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for each in threads:
        each.start()
    second = release(tmp_path, "one.test", 2, app("second"))
    swap(tmp_path / "one.test", second)
    for each in threads:
        each.join()
    wait(lambda: told(directory, "one.test")["release"] == str(second), "the second release")
    line = told(directory, "one.test")
    assert line["requests"] == 800
    assert line["reloads"]["ok"] + 1 == line["loads"]["count"]


def test_a_request_under_way(router: Router, directory: Path) -> None:
    environ = make_environ(HTTP_HOST="one.test")  # the server keeps it to the end of a request
    Call(router.application, environ).finish()
    assert told(directory, "one.test")["in_progress"] == 1
    del environ
    assert told(directory, "one.test")["in_progress"] == 0


def test_holding_the_old_release_and_what_failed(
    router: Router, directory: Path, tmp_path: Path
) -> None:
    get(router.application, "one.test")
    write(tmp_path / "one.test/wsgi/app.py", BROKEN)
    wait(lambda: told(directory, "one.test")["state"] == "holding", "the failed reload")
    line = told(directory, "one.test")
    assert line["failure"]["code"] == "VAN002"
    assert "no database" in line["failure"]["text"]
    assert "\n" not in line["failure"]["text"]
    assert abs(line["failure"]["time"] - time.time()) < 60
    assert line["reloads"] == {"ok": 0, "failed": 1}
    assert processes(str(directory))[0].process["events"]["VAN002"] >= 1
    write(tmp_path / "one.test/wsgi/app.py", app("mended"))
    wait_for(router.application, "one.test", "mended")
    line = told(directory, "one.test")
    assert line["state"] == "loaded"
    assert line["failure"]["code"] == "VAN002", "the last failure is still told"


def test_a_failed_a_loading_and_an_unloaded_site(
    router: Router, directory: Path, tmp_path: Path
) -> None:
    write(tmp_path / "broken.test/wsgi/app.py", BROKEN)
    write(tmp_path / "slow.test/wsgi/app.py", hangs(tmp_path / "go") + app("slow"))
    get(router.application, "broken.test")
    assert told(directory, "broken.test")["state"] == "failed"
    asking = threading.Thread(target=get, args=(router.application, "slow.test"))
    asking.start()
    wait(lambda: (tmp_path / "go.begun").exists(), "the import")
    assert told(directory, "slow.test")["state"] == "loading"
    (tmp_path / "go").touch()
    asking.join()
    assert told(directory, "slow.test")["state"] == "loaded"
    (tmp_path / "slow.test").rename(tmp_path / "away")
    wait(lambda: told(directory, "slow.test")["state"] == "unloaded", "the unloading")
    get(router.application, "made.up.test")
    assert told(directory, "made.up.test") == {}


def test_a_worker(make_router: MakeRouter, directory: Path, tmp_path: Path) -> None:
    site(tmp_path, "one.test", "first")
    router = make_router(status_directory=str(directory), isolation="process", max_requests=3)
    get(router.application, "one.test")
    line = told(directory, "one.test")
    (worker,) = line["workers"]
    assert line["isolation"] == "process"
    assert line["python"].count(".") == 2
    assert worker["requests"] == 1
    assert worker["private_bytes"] > 1_000_000
    assert worker["cpu_seconds"] > 0
    assert worker["started"] <= worker["last_use"] <= time.time()
    for _ in range(2):
        get(router.application, "one.test")
    assert told(directory, "one.test")["worker_restarts"] == {"max_requests": 1}


def test_refused_requests_are_told_by_reason(
    make_router: MakeRouter, directory: Path, tmp_path: Path
) -> None:
    site(tmp_path, "one.test", "first")
    router = make_router(status_directory=str(directory), max_concurrency=1)
    environ = make_environ(HTTP_HOST="one.test")
    Call(router.application, environ).finish()
    assert get(router.application, "one.test").status == 503
    assert told(directory, "one.test")["refused"] == {"max_concurrency": 1}
    del environ


def test_nothing_of_a_sites_environment_is_told(
    make_router: MakeRouter, directory: Path, tmp_path: Path
) -> None:
    write(tmp_path / "one.test/shared/.env", "HIDDEN_NAME=hidden-value\n")
    write(
        tmp_path / "one.test/wsgi/app.py",
        "import os\nraise RuntimeError(dict(os.environ)['HIDDEN_NAME'] + ' for HIDDEN_NAME')\n",
    )
    router = make_router(status_directory=str(directory))
    get(router.application, "one.test")
    text = json.dumps(ask(directory / str(os.getpid()), {"ask": "status"}))
    assert "*** for ***" in text
    assert "hidden" not in text.lower()


def test_restart_and_drain(router: Router, directory: Path) -> None:
    get(router.application, "one.test")
    line = told(directory, "one.test", "restart")
    assert line["restarting"] is True
    wait(lambda: told(directory, "one.test")["loads"]["count"] == 2, "the second load")
    assert told(directory, "one.test")["reloads"] == {"ok": 1, "failed": 0}
    (only,) = ask(directory / str(os.getpid()), {"ask": "drain"})
    assert only["process"]["draining"] is True


@pytest.mark.parametrize("question", [{}, {"ask": "environ"}, [], "status", {"ask": ["status"]}])
def test_other_questions_get_an_error(router: Router, directory: Path, question: Any) -> None:
    get(router.application, "one.test")
    (line,) = ask(directory / str(os.getpid()), question)
    assert "error" in line


def test_a_fork_after_the_end_closes_nothing(router: Router) -> None:
    assert get(router.application, "one.test").status == 200
    router.shutdown()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    try:
        in_child(lambda: [os.fstat(each) for each in opened])
    finally:
        for each in opened:
            os.close(each)


def test_names_of_one_site_are_restarted_together(
    router: Router, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "www.one.test").symlink_to("one.test")
    for host in ("one.test", "www.one.test"):
        get(router.application, host)
    told(directory, "www.one.test", "restart")
    wait(lambda: told(directory, "one.test")["attempts"] == 2, "the other name is loaded again")
    wait(lambda: told(directory, "www.one.test")["attempts"] == 2, "so is this one")
    lines = [told(directory, host) for host in ("one.test", "www.one.test")]
    assert sum(line["loads"]["count"] for line in lines) == 2


def test_a_superseded_router_is_not_asked_any_more(
    make_router: MakeRouter, directory: Path, tmp_path: Path
) -> None:
    site(tmp_path, "one.test")
    script = "from mod_wsgi_van import Router\nrouter = Router(**settings)\n"
    made = []
    for _ in range(2):
        settings = {"base_path": str(tmp_path), "status_directory": str(directory)}
        names: dict[str, Any] = {"__file__": str(tmp_path / "app.wsgi"), "settings": settings}
        exec(compile(script, names["__file__"], "exec"), names)
        made.append(names["router"])
        get(made[-1].application, "one.test")
    assert [path.name for path in directory.iterdir()] == [str(os.getpid())]
    assert told(directory, "one.test")["requests"] == 1
    for each in made:
        each.shutdown()
