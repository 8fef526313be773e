"""Changes at awkward moments: none is lost, none costs anything once it is settled."""

from __future__ import annotations

import gc
import logging
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.reload.loader import Loader
from mod_wsgi_van.sites.table import Sites
from tests.reload.test_rest import turns
from tests.support.client import get, wait_for
from tests.support.log import logged
from tests.support.venvs import make_venv
from tests.support.vhosts import app, deploy, hangs, release, site, write
from tests.support.waiting import DEADLINE, wait


def hanging(base: Path, host: str, number: int) -> Path:
    """A release whose import ends when ``base/go`` exists."""
    return release(base, host, number, hangs(base / "go") + app("hung"))


def test_a_mend_before_a_hung_import_is_late(tmp_path: Path, make_router: Any) -> None:
    deploy(tmp_path, "a.test", hanging(tmp_path, "a.test", 1))
    router = make_router(load_timeout=1)
    waiting = threading.Thread(target=get, args=(router.application, "a.test"))
    waiting.start()
    wait((tmp_path / "go.begun").exists)
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, app("mended")))
    wait_for(router.application, "a.test", "mended")
    waiting.join()
    (tmp_path / "go").touch()


def test_a_vhost_deleted_while_a_late_reload_hangs(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(load_timeout=0.2)
    wait_for(router.application, "a.test", "1")
    deploy(tmp_path, "a.test", hanging(tmp_path, "a.test", 2))
    wait(lambda: logged(caplog, "VAN004"), "the line that it is late")
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
    forget = Sites.mark_missing

    def forget_later(self: Sites, missing: Any, *arguments: Any) -> Any:
        site(tmp_path, "a.test", "made")
        time.sleep(0.3)  # the thread was preempted; the event comes and goes
        return forget(self, missing, *arguments)

    router = make_router(sweep_interval=0)
    monkeypatch.setattr(Sites, "mark_missing", forget_later)
    get(router.application, "a.test")
    monkeypatch.undo()
    wait_for(router.application, "a.test", "made")


def test_a_hook_that_exits_ends_nothing(tmp_path: Path, make_router: Any) -> None:
    exited = threading.Event()

    class Exits(Router):
        exits = False

        def get_version(self, path: Path) -> object:
            if self.exits:
                exited.set()
                raise SystemExit(3)
            return super().get_version(path)

    site(tmp_path, "a.test", "1")
    router = make_router(Exits)
    assert get(router.application, "a.test").body == "1"
    router.exits = True
    site(tmp_path, "a.test", "2")
    assert exited.wait(DEADLINE)
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
    missed = threading.Event()

    class Reads(Router):
        def get_version(self, path: Path) -> object:
            try:
                return (path / "VERSION").read_text()
            except FileNotFoundError:
                missed.set()
                raise

    router = make_router(Reads)
    assert get(router.application, "a.test").status == 404
    missed.clear()
    site(tmp_path, "a.test", "1")
    wait(lambda: get(router.application, "a.test") and missed.is_set())
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
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hang, block = threading.Event(), threading.Event()

    class Blocking(Router):
        def get_version(self, path: Path) -> object:
            if block.is_set() and threading.current_thread().name.startswith("van-load-"):
                hang.wait(DEADLINE)
            return super().get_version(path)

    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router(Blocking, load_timeout=0.3, settle=1, update_interval=60)
    wait_for(router.application, "a.test", "1")
    block.set()
    two = release(tmp_path, "a.test", 2, app("2"))
    deploy(tmp_path, "a.test", two)  # a reload that hangs in the hook, and is late
    wait(lambda: logged(caplog, "VAN017"), "the line that it is late")
    (two / "wsgi" / "edit.py").write_text("")  # an edit, pending for a second
    time.sleep(0.2)
    os.unlink(tmp_path / "a.test")
    hang.set()  # the load ends: there is no such vhost
    wait(lambda: get(router.application, "a.test").status == 404)
    time.sleep(1)  # past the time at which the edit was due
    assert turns(router, 1) < 20  # a thread that spins makes thousands


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


def test_an_import_that_writes_and_hangs_is_not_started_again_and_again(
    tmp_path: Path, make_router: Any
) -> None:
    source = f"""
    import pathlib, time
    with open({str(tmp_path / "begun")!r}, "a") as file:
        file.write("x")
    (pathlib.Path(__file__).parent / "stamp.txt").write_text("")
    """
    source = textwrap.dedent(source) + hangs(tmp_path / "go")
    write(tmp_path / "a.test" / "wsgi" / "app.py", source + app("1"))
    router = make_router(load_timeout=1, sweep_interval=0.3)
    assert get(router.application, "a.test").status == 503
    time.sleep(3.5)
    assert len((tmp_path / "begun").read_text()) <= 2
    (tmp_path / "a.test" / "wsgi" / "app.py").write_text(app("mended"))
    wait_for(router.application, "a.test", "mended")
    (tmp_path / "go").touch()


def test_hosts_made_up_by_clients_ask_no_hook(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(Router):
        def get_version(self, path: Path) -> object:
            raise RuntimeError(path.name)

    router = make_router(Raises)
    for number in range(300):
        assert get(router.application, f"h{number}.test").status == 404
    time.sleep(0.5)  # some sweeps
    assert not caplog.records


def test_quick_swaps_are_not_taken_for_changes_of_the_load_itself(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    slow = "import time\ntime.sleep(0.1)\n"
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 0, slow + app("0")))
    router = make_router()
    wait_for(router.application, "a.test", "0")
    for number in range(1, 8):  # each is built while the one before it is being loaded
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", number, slow + app(str(number))))
        time.sleep(0.05)
    wait_for(router.application, "a.test", "7")
    assert logged(caplog, "VAN014") == 0


@pytest.mark.parametrize(
    ("hook", "value"),
    [("get_isolation", "thread"), ("get_venv_paths", "/srv/env"), ("get_python", None)],
)
def test_a_hook_that_returns_nonsense(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, hook: str, value: Any
) -> None:
    site(tmp_path, "a.test", "1")
    router = make_router(type("Ours", (Router,), {hook: lambda self, path: value}))
    assert get(router.application, "a.test").status == 500
    wait(lambda: logged(caplog, f"VAN008: {hook}("), "the error in the log")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("result", ["a\0b", KeyError("x"), SystemExit(3)])
def test_a_get_server_path_that_fails(tmp_path: Path, make_router: Any, result: Any) -> None:
    class Ours(Router):
        def get_server_path(self, host_name: str) -> Any:  # type: ignore[override]
            if isinstance(result, BaseException):
                raise result
            return result

    router = make_router(Ours)
    for _ in range(2):
        assert get(router.application, "a.test").status == 500


def test_a_load_that_ends_after_the_shutdown_is_retired(tmp_path: Path, make_router: Any) -> None:
    exited = tmp_path / "exited"
    exits = f"import atexit\natexit.register(lambda: open({str(exited)!r}, 'w').close())\n"
    source = exits + hangs(tmp_path / "go")
    write(tmp_path / "a.test" / "wsgi" / "app.py", source + app("1"))
    router = make_router(load_timeout=0.2)
    assert get(router.application, "a.test").status == 503
    router.shutdown()
    (tmp_path / "go").touch()
    wait(exited.exists, "the exit handlers")
    assert get(router.application, "a.test").status == 503


def test_inotify_that_cannot_be_had(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site(tmp_path, "a.test", "1")
    router = make_router(watch="inotify")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
    try:
        first, second = (get(router.application, "a.test").status for _ in range(2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert (first, second) == (500, 500)
    wait(lambda: logged(caplog, "VAN020"), "the line in the log")
    assert logged(caplog, "VAN020") == 1
    assert get(router.application, "a.test").body == "1"


def test_a_vhost_that_may_not_be_read(tmp_path: Path) -> None:
    """In a process without root's rights, which pass every check."""
    import_path = os.pathsep.join(sys.path)
    site(tmp_path, "a.test", "1")
    (tmp_path / "a.test").chmod(0)
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        directory.chmod(directory.stat().st_mode | 0o055)
    program = f"""
    import logging, os, sys
    sys.path[:0] = {import_path!r}.split(os.pathsep)
    from tests.support.client import get, wait_for
    from mod_wsgi_van import Router
    router = Router(base_path={str(tmp_path)!r}, update_interval=0.1)
    if os.geteuid() == 0:
        get(router.application, "warm.test")
        os.setegid(65534); os.seteuid(65534)
    assert get(router.application, "a.test").status == 500
    print("asked", flush=True)
    sys.stdin.readline()
    os.seteuid(os.getuid())
    wait_for(router.application, "a.test", "1")
    router.shutdown()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    line = process.stdout.readline()
    (tmp_path / "a.test").chmod(0o755)
    _, log = process.communicate("\n" if line else "", timeout=60)
    assert process.returncode == 0, log
    assert log.count("VAN015") == 1, log


def test_a_first_load_that_fails_while_its_release_is_replaced(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """``ln -sfn new site; rm -rf old``, in the middle of the import of the old one."""
    new, link = release(tmp_path, "a.test", 2, app("two")), tmp_path / "a.test"
    moves = f"import os\nos.unlink({str(link)!r})\nos.symlink({str(new)!r}, {str(link)!r})\n"
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, moves + "import deleted_by_now\n"))
    router = make_router()
    assert get(router.application, "a.test").body == "two"
    assert not logged(caplog, "VAN002")


def test_a_release_that_fails_and_always_moves_on(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each import points the link at the other release; it is not tried for ever."""
    link = tmp_path / "a.test"
    for number in (1, 2):
        other = tmp_path / f".builds/a.test/{3 - number}"
        moves = f"import os\nos.unlink({str(link)!r})\nos.symlink({str(other)!r}, {str(link)!r})\n"
        release(tmp_path, "a.test", number, moves + "raise ImportError\n")
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    router = make_router()
    assert get(router.application, "a.test").status == 500
    wait(lambda: logged(caplog, "VAN002"), "the line in the log")


def test_a_version_that_is_gone_for_a_moment(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Swapped(Router):
        misses = 0

        def get_version(self, path: Path) -> object:
            self.misses += 1
            if self.misses % 3:
                raise FileNotFoundError(2, "No such file or directory", str(path))
            return 1

    site(tmp_path, "a.test")
    router = make_router(Swapped)
    assert get(router.application, "a.test").body == "one"
    assert not logged(caplog, "VAN008")


def test_an_environment_that_is_swapped_while_it_is_looked_at(
    tmp_path: Path, make_router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.readlink

    def readlink(path: Any, **further: Any) -> Any:
        if os.fspath(path).endswith(".venv"):  # unlinked since its lstat()
            raise FileNotFoundError(2, "No such file or directory", path)
        return real(path, **further)

    (site(tmp_path, "a.test") / ".venv").symlink_to(make_venv(tmp_path / "venvs" / "1"))
    monkeypatch.setattr(os, "readlink", readlink)
    router = make_router()
    assert get(router.application, "a.test").body == "one"


def test_a_vhost_that_is_loaded_while_the_reloader_finds_it(
    tmp_path: Path, make_router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the reloader does to an unknown vhost must not undo the load of a request."""
    real, deployed_again = Loader.exists, False
    found, begun, loaded, late = (threading.Event() for _ in range(4))

    def exists(loader: Loader, path: Path) -> bool:
        is_there = real(loader, path)
        if is_there and threading.current_thread().name == "van-files":
            found.set()
            if deployed_again:
                begun.set()
                loaded.wait(DEADLINE)
                late.set()
        return is_there

    router = make_router()
    assert get(router.application, "a.test").status == 404
    monkeypatch.setattr(Loader, "exists", exists)
    imports = tmp_path / "imports"
    record = f"with open({str(imports)!r}, 'a') as file:\n    file.write('x')\n"
    made = release(tmp_path, "a.test", 1, record + app("one"))
    deploy(tmp_path, "a.test", made)
    assert found.wait(DEADLINE)
    deployed_again = True
    deploy(tmp_path, "a.test", made)
    assert begun.wait(DEADLINE)
    assert get(router.application, "a.test").body == "one"
    loaded.set()
    assert late.wait(DEADLINE)
    for _ in range(20):
        assert get(router.application, "a.test").body == "one"
        time.sleep(0.01)
    assert imports.read_text() == "x"


def test_a_tree_deeper_than_python_recurses(tmp_path: Path, make_router: Any) -> None:
    wsgi = site(tmp_path, "a.test") / "wsgi"
    descriptor = os.open(wsgi, os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    try:
        router = make_router()
        assert get(router.application, "a.test").body == "one"
        write(wsgi / "app.py", app("two"))
        wait_for(router.application, "a.test", "two")
        router.shutdown()
    finally:
        subprocess.run(["rm", "-rf", str(wsgi)], check=True)  # shutil's recurses, too


@pytest.mark.parametrize("watch", ["auto", "polling"])
def test_a_mend_long_after_an_import_that_writes_is_late(
    tmp_path: Path, make_router: Any, watch: str
) -> None:
    """The edit waits for ``settle`` seconds, and the walk passes by meanwhile."""
    go = tmp_path / "go"
    source = "import pathlib\n(pathlib.Path(__file__).parent / 'stamp').write_text('')\n"
    write(tmp_path / "a.test/wsgi/app.py", source + hangs(go) + app("1"))
    router = make_router(
        load_timeout=0.5, sweep_interval=0.02, update_interval=0.05, settle=0.5, watch=watch
    )
    assert get(router.application, "a.test").status == 503
    time.sleep(4)  # the second attempt is late too
    (tmp_path / "a.test/wsgi/app.py").write_text(app("mended"))
    wait_for(router.application, "a.test", "mended")
    go.touch()
