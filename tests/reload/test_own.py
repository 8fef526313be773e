"""What a site says of itself, in van.toml and shared/.env, on real routers in both isolations."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get, wait_for
from tests.support.links import swap
from tests.support.log import errors, logged
from tests.support.vhosts import app, site, write
from tests.support.waiting import wait

MakeRouter = Callable[..., Router]

TELLS = """
import os, threading
def make():
    def app(environ, start_response):
        names = environ["QUERY_STRING"].split(",")
        text = " ".join(str(environ.get(name, os.environ.get(name, "-"))) for name in names)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]
    return app
"""
BOTH = pytest.mark.parametrize("isolation", ["imports", "process"])


def tell(router: Router, names: str, host: str = "a.test") -> str:
    return get(router.application, host, QUERY_STRING=names).body


def project(directory: Path, own: str = "", module: str = "project/web") -> Path:
    """A site whose entry is ``project.web:make()``, or another module."""
    write(directory / "wsgi" / f"{module}.py", TELLS)
    write(directory / "van.toml", f'entry = "{module.replace("/", ".")}:make()"\n{own}')
    return directory


def warnings_of(caplog: pytest.LogCaptureFixture, code: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if code in r.getMessage()]


@BOTH
def test_entry_and_variables(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    caplog.set_level("INFO")
    directory = project(tmp_path / "a.test", '[env]\nCOLOUR = "blue"\nSIZE = "1"')
    write(directory / "shared" / ".env", "SIZE=2 # of this machine\nPASSWORD='hunter2'\n")
    router = make_router(isolation=isolation, env={"COLOUR": "red", "COMMON": "yes"})
    assert tell(router, "COLOUR,SIZE,PASSWORD,COMMON") == "blue 2 hunter2 yes"
    assert "COLOUR" not in os.environ
    wait(lambda: logged(caplog, " ms (project.web:make(); ") == 1)
    assert "hunter2" not in caplog.text


@BOTH
@pytest.mark.parametrize("watch", ["auto", "polling"])
def test_a_change_reloads_the_site(
    tmp_path: Path, make_router: MakeRouter, isolation: str, watch: str
) -> None:
    directory = project(tmp_path / "a.test")
    router = make_router(isolation=isolation, watch=watch)
    assert tell(router, "COLOUR,PASSWORD") == "- -"
    project(directory, 'env.COLOUR = "blue"')
    wait(lambda: tell(router, "COLOUR,PASSWORD") == "blue -")
    write(directory / "shared" / ".env", "PASSWORD=1")
    wait(lambda: tell(router, "COLOUR,PASSWORD") == "blue 1")
    write(directory / "shared" / ".env", "PASSWORD=2")
    wait(lambda: tell(router, "COLOUR,PASSWORD") == "blue 2")
    (directory / "van.toml").unlink()
    write(directory / "wsgi" / "app.py", "from project.web import make; app = make()")
    wait(lambda: tell(router, "COLOUR,PASSWORD") == "- 2")


@BOTH
def test_it_is_deployed_and_rolled_back_with_the_code(
    tmp_path: Path, make_router: MakeRouter, isolation: str
) -> None:
    for number in (1, 2):
        release = project(tmp_path / ".builds" / str(number), f'env.RELEASE = "{number}"')
        write(release / "wsgi" / "project" / "data.py", f"NUMBER = {number}")
    router = make_router(isolation=isolation)
    for number in (1, 2, 1):
        swap(tmp_path / "a.test", f".builds/{number}")
        wait(lambda number=number: tell(router, "RELEASE") == str(number))


BROKEN = [
    ("van.toml", "thread = 3", 1, "thread: no such key; did you mean threads?"),
    ("van.toml", 'user = "root"', 1, "user: no such key"),
    ("van.toml", 'entry = "a:b"\n\n[env]\nLD_PRELOAD = "x"', 4, "env.LD_PRELOAD: these are not"),
    ("van.toml", 'watch_paths = ["../other"]', 1, "watch_paths: the path must not leave"),
    ("van.toml", "aliases = ['b.test']", 1, "aliases: no such key"),
    ("van.toml", "entry = ", 1, "Invalid value"),
    ("shared/.env", "A=1\nPYTHONPATH=/x", 2, "PYTHONPATH: these are not"),
    ("shared/.env", "A=1\nhunter2", 2, "NAME=value is wanted"),
]


@pytest.mark.parametrize(("name", "text", "line", "said"), BROKEN)
def test_a_broken_file_is_a_failed_load(
    tmp_path: Path,
    make_router: MakeRouter,
    caplog: pytest.LogCaptureFixture,
    name: str,
    text: str,
    line: int,
    said: str,
) -> None:
    directory = project(tmp_path / "a.test", 'env.A = "old"')
    router = make_router()
    assert tell(router, "A") == "old"
    write(directory / name, text)
    (error,) = wait(lambda: errors(caplog))
    file = directory / name
    assert error.startswith(f"a.test: VAN041: {file}:{line}: {said}")
    assert error.endswith(f"goes on serving until something changes in {file}")
    assert "mend the file" in error and "hunter2" not in error
    assert tell(router, "A") == "old"
    file.unlink()
    project(directory, 'env.A = "new"')
    wait(lambda: tell(router, "A") == "new")
    assert len(errors(caplog)) == 1


def test_a_first_load_with_a_broken_file(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    directory = site(tmp_path, "a.test", "fine")
    write(directory / "van.toml", "x = 1")
    router = make_router()
    assert get(router.application, "a.test").status == 500
    assert logged(caplog, "VAN041") == 1
    write(directory / "van.toml", "threads = 1")
    wait_for(router.application, "a.test", "fine")


@pytest.mark.parametrize("name", ["van.toml", "shared/.env"])
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.write_bytes(b"#" * 100_000), Path.mkdir],
    ids=["FIFO", "large", "directory"],
)
def test_a_file_that_is_no_small_regular_file(
    tmp_path: Path,
    make_router: MakeRouter,
    caplog: pytest.LogCaptureFixture,
    name: str,
    make: Callable[[Path], object],
) -> None:
    directory = site(tmp_path, "a.test", "fine")
    site(tmp_path, "b.test", "other")
    (directory / "shared").mkdir()
    make(directory / name)
    router = make_router()
    assert get(router.application, "a.test").status == 500
    assert get(router.application, "b.test").body == "other"
    (error,) = errors(caplog)
    assert "VAN018" in error and str(directory / name) in error
    (directory / name).rename(tmp_path / "away")
    wait_for(router.application, "a.test", "fine")


def test_a_worker_of_the_owner_has_nothing_of_the_daemons_that_a_site_could_not_set(
    tmp_path: Path, make_router: MakeRouter, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FROM_DAEMON", "daemon")
    directory = project(tmp_path / "a.test", 'env.FROM_DAEMON = "site"\nenv.SET = "site"')
    router = make_router(site_user="owner", process_environ=["*", "SET=daemon"])
    granted = router._rules.for_release(directory)
    assert granted.settings.env == {"FROM_DAEMON": "site"}
    assert granted.capped == ("SET is set by the daemon",)


def test_what_a_site_may_not_have_is_said_once(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FROM_DAEMON", "daemon")
    own = 'isolation = "imports"\nthreads = 32\nmemory_limit = 0\nidle_timeout = 5\n'
    directory = project(tmp_path / "a.test", own + 'env.FROM_DAEMON = "site"')
    router = make_router(limits={"threads": 1, "memory_limit": 10**9}, isolation="process")
    assert tell(router, "wsgi.multithread,FROM_DAEMON") == "False daemon"
    expected = (
        "a.test: VAN042: its van.toml or shared/.env asks for what its administrator decides:"
        " isolation = 'imports' is more than 'process', which is used;"
        " threads = 32 is more than 1, which is used;"
        " memory_limit = 0 is more than 1000000000, which is used; FROM_DAEMON is set by the daemon"
    )
    wait(lambda: warnings_of(caplog, "VAN042") == [expected], tell=lambda: caplog.text)
    write(directory / "wsgi" / "more.py", "")
    wait(lambda: router.get_version(directory) == router._sites.site("", directory).state.version)
    assert warnings_of(caplog, "VAN042") == [expected]
    project(directory, "threads = 2")
    wait(lambda: len(warnings_of(caplog, "VAN042")) == 2)


def test_a_site_may_be_stricter_than_its_administrator(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    project(tmp_path / "a.test", 'isolation = "process"\nthreads = 1\nprocesses = 2')
    project(tmp_path / "b.test")
    router = make_router(limits={"processes": 4})
    assert tell(router, "wsgi.multithread,wsgi.multiprocess") == "False True"
    assert tell(router, "mod_wsgi_van.release", "b.test").endswith("b.test/wsgi")
    assert not warnings_of(caplog, "VAN042")


def test_what_the_administrator_decides_for_one_site(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    own = 'isolation = "auto"\nthreads = 16\nenv.A = "own"\nenv.B = "own"'
    project(tmp_path / "a.test", own)
    write(tmp_path / "a.test" / "wsgi" / "decided.py", "from project.web import make as other")
    router = make_router(
        process_threads=1,
        sites={
            "A.test": {
                "isolation": "process",
                "threads": 4,
                "entry": "decided:other()",
                "env": {"A": "decided"},
            }
        },
    )
    assert tell(router, "wsgi.multithread,A,B") == "True decided own"
    (said,) = wait(lambda: warnings_of(caplog, "VAN042"))
    assert "isolation = 'auto' is more than 'process'" in said
    assert "threads = 16 is more than 4" in said


def test_uploads_below_wsgi_that_the_site_ignores(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    own = 'watch_ignore = ["media", "*.csv"]\nwatch_paths = ["data/settings.ini"]'
    directory = project(tmp_path / "a.test", own)
    write(directory / "wsgi" / "media" / "old.py", "")
    router = make_router()
    assert tell(router, "A") == "-"
    version = router.get_version(directory)
    write(directory / "wsgi" / "media" / "new.py", "")
    write(directory / "wsgi" / "table.csv", "")
    write(directory / "wsgi" / "__pycache__" / "x.pyc", "")
    assert router.get_version(directory) == version
    write(directory / "data" / "settings.ini", "")
    wait(lambda: logged(caplog, "reloaded in") == 1)
    project(directory, "")
    wait(lambda: logged(caplog, "reloaded in") == 2)
    write(directory / "wsgi" / "media" / "newer.py", "")
    wait(lambda: logged(caplog, "reloaded in") == 3)


def test_an_idle_site_gives_its_workers_back_and_others_do_not(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    project(tmp_path / "a.test", "idle_timeout = 0.2")
    project(tmp_path / "b.test")
    router = make_router(isolation="process")
    for host in ("b.test", "a.test"):
        tell(router, "A", host)
    for count in (1, 2):
        wait(lambda count=count: logged(caplog, "given back after 0.2 s idle") == count)
        tell(router, "A")
    assert not logged(caplog, "b.test: worker")


def test_a_slow_worker_has_the_time_that_its_site_gives_it(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.test" / "wsgi" / "app.py", "import time\ntime.sleep\n" + app("late"))
    slow = tmp_path / "a.test" / "wsgi" / "app.py"
    slow.write_text(slow.read_text().replace("    body", "    time.sleep(1.5)\n    body"))
    write(tmp_path / "a.test" / "van.toml", "request_timeout = 0.3")
    router = make_router(isolation="process")
    assert get(router.application, "a.test").status == 504
    assert logged(caplog, "within 0.3 s (request_timeout)") == 1


FILES = [
    ({"app": "app = ", "wsgi": "application = "}, "app:app"),
    ({"app": "application = "}, "app:application"),
    ({"app": "application = app = "}, "app:app"),
    ({"wsgi": "application = "}, "wsgi:application"),
    ({"passenger_wsgi": "application = "}, "passenger_wsgi:application"),
    ({"app/__init__": "app = ", "wsgi": "application = "}, "app:app"),
]


@BOTH
@pytest.mark.parametrize(("files", "taken"), FILES)
def test_without_an_entry_the_files_decide(
    tmp_path: Path,
    make_router: MakeRouter,
    caplog: pytest.LogCaptureFixture,
    isolation: str,
    files: dict[str, str],
    taken: str,
) -> None:
    caplog.set_level("INFO")
    for name, text in files.items():
        write(tmp_path / "a.test" / "wsgi" / f"{name}.py", f"{TELLS}\n{text}make()")
    router = make_router(isolation=isolation)
    assert tell(router, "A") == "-"
    wait(lambda: logged(caplog, f" ms ({taken}; ") == 1, tell=lambda: caplog.text)


def test_two_files_that_could_be_meant(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "a.test"
    for name in ("wsgi", "passenger_wsgi"):
        write(directory / "wsgi" / f"{name}.py", f"{TELLS}\napplication = make()")
    router = make_router()
    assert get(router.application, "a.test").status == 500
    (error,) = errors(caplog)
    assert error.startswith(f"a.test: VAN003: {directory}/wsgi/wsgi.py and ")
    assert f"{directory}/wsgi/passenger_wsgi.py could both be meant" in error
    write(directory / "van.toml", 'entry = "passenger_wsgi:application"')
    wait(lambda: tell(router, "A") == "-")


def test_a_router_with_names_of_its_own_keeps_them(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.test" / "wsgi" / "wsgi.py", f"{TELLS}\napplication = make()")
    router = make_router(object_name="handler")
    assert get(router.application, "a.test").status == 500
    assert "No module named 'app'" in caplog.text
    write(tmp_path / "a.test" / "wsgi" / "app.py", f"{TELLS}\napp = make()")
    wait(lambda: "'handler' in " in caplog.text)
    write(tmp_path / "a.test" / "van.toml", 'entry = "wsgi:application"')
    wait(lambda: tell(router, "A") == "-")


def test_hooks_go_on_deciding(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    class Hooked(Router):
        def get_isolation(self, path: Path) -> str:
            return "imports" if path.name == "a.test" else super().get_isolation(path)

    for host in ("a.test", "b.test"):
        project(tmp_path / host, 'isolation = "process"')
    router = make_router(Hooked)
    assert tell(router, "mod_wsgi_van.release").endswith("a.test/wsgi")
    assert tell(router, "mod_wsgi_van.release", "b.test") == "-"
