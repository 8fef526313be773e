"""What needs a process of its own: logging without configuration, forks, the end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.places import PROJECT
from tests.support.vhosts import app, deploy, release, site, write

PRELUDE = """
import logging, os, sys, threading, time
from pathlib import Path
sys.path.insert(0, {project!r})
from mod_wsgi_van import Router
from tests.support.children import forked
from tests.support.client import get, wait_for
from tests.support.threads import in_threads
from tests.support.places import PROJECT
from tests.support.vhosts import app, deploy, release, site
from tests.support.waiting import wait
base = Path({base!r})
"""


def run(base: Path, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = PRELUDE.format(project=str(PROJECT), base=str(base))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done


LIFE = """
router = Router(base_path=str(base), update_interval=0.1)
wait_for(router.application, "a.test", "1")
deploy(base, "a.test", base / ".builds/a.test/2")
wait_for(router.application, "a.test", "2")
deploy(base, "a.test", base / ".builds/a.test/3")
wait(lambda: said("VAN002"))
(base / "a.test").unlink()
wait(lambda: get(router.application, "a.test").status == 404)
router.shutdown()
"""


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    release(tmp_path, "a.test", 1, app("1"))
    release(tmp_path, "a.test", 2, app("2"))
    release(tmp_path, "a.test", 3, "import sys; sys.exit('no config')")
    deploy(tmp_path, "a.test", tmp_path / ".builds/a.test/1")
    return tmp_path


def test_events_reach_stderr_when_nothing_is_configured(releases: Path) -> None:
    log = releases / "stderr"
    said = f"os.dup2(os.open({str(log)!r}, os.O_CREAT | os.O_RDWR | os.O_APPEND), 2)\n"
    said += f"said = lambda text: text in Path({str(log)!r}).read_text()\n"
    run(releases, said + LIFE)
    text = log.read_text()
    builds = releases / ".builds/a.test"
    for event in (
        f"a.test: loaded {builds}/1/wsgi in ",
        f"{builds}/1/wsgi -> {builds}/2/wsgi",
        "a.test: VAN002: ",
        "\na.test: SystemExit: no config\n",
        f"the release from {builds}/2/wsgi goes on serving",
        f"a.test: unloaded: {releases}/a.test/wsgi is gone",
    ):
        assert text.count(event) == 1, text
    own = [line for line in text.splitlines() if line.startswith("mod_wsgi_van ")]
    assert all(line.split(": ")[0].split()[1] in ("INFO", "ERROR") for line in own)


def test_a_configured_logger_has_each_event_once(releases: Path) -> None:
    configured = """
    import io
    stream = io.StringIO()
    logging.basicConfig(stream=stream, level="INFO")
    said = lambda text: text in stream.getvalue()
    """
    done = run(releases, textwrap.dedent(configured) + LIFE + "print(stream.getvalue())")
    assert done.stderr == ""
    assert done.stdout.count("a.test: loaded ") == 1
    assert done.stdout.count("VAN002") == 1


def test_a_child_that_is_forked_while_a_line_is_written(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import signal
        from mod_wsgi_van.interpreter import log
        writes = threading.Event()
        class Slow:
            lock = threading.Lock()  # as that in a BufferedWriter: a child finds it as it was
            def write(self, text):
                with self.lock:
                    writes.set()
                    time.sleep(0.2)
            def flush(self):
                pass
        log.ensure()
        sys.stderr = Slow()
        logger = logging.getLogger("mod_wsgi_van")
        thread = threading.Thread(target=logger.info, args=("a line",))
        thread.start()
        writes.wait()
        def say():
            signal.alarm(20)
            logger.info("a line of the child")
        child = forked(say)
        assert os.waitpid(child, 0)[1] == 0
        thread.join()
        """,
    )


def test_children_of_a_preloading_server(tmp_path: Path) -> None:
    """Parent and children serve, reload and shut down without disturbing each other."""
    source = """
    router = Router(base_path=str(base))
    assert not [t for t in threading.enumerate() if t.name.startswith("van-")]
    deploy(base, "a.test", release(base, "a.test", 1, app("1")))
    wait_for(router.application, "a.test", "1")
    def serve(number):
        wait_for(router.application, "a.test", "1")
        (base / f"ready-{number}").touch()
        wait((base / "go").exists)
        wait_for(router.application, "a.test", "2")
        if number == 0:
            router.shutdown()
    children = [forked(lambda: serve(number)) for number in range(3)]
    wait(lambda: all((base / f"ready-{n}").exists() for n in range(3)))
    deploy(base, "a.test", release(base, "a.test", 2, app("2")))
    wait_for(router.application, "a.test", "2")
    (base / "go").touch()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    deploy(base, "a.test", release(base, "a.test", 3, app("3")))
    wait_for(router.application, "a.test", "3")
    site(base, "b.test", "new")
    wait_for(router.application, "b.test", "new")
    router.shutdown()
    """
    run(tmp_path, source)


def test_a_fork_in_the_middle_of_loads(tmp_path: Path) -> None:
    """No lock that a loading thread of the parent holds may be held for ever in the child."""
    slow = "import time\ntime.sleep(0.02)\n"
    for number in range(20):
        write(tmp_path / f"h{number}.test" / "wsgi" / "app.py", slow + app(str(number)))
    source = """
    router = Router(base_path=str(base))
    def load_all(worker):
        for number in range(20):
            found = get(router.application, f"h{number}.test")
            assert found.body == str(number), found
    loading = threading.Thread(target=in_threads, args=(4, load_all))
    loading.start()
    children = []
    for _ in range(10):
        time.sleep(0.03)
        children.append(forked(lambda: load_all(0)))
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
    loading.join()
    router.shutdown()
    """
    run(tmp_path, source)


def test_the_end_of_the_process_runs_exit_handlers(tmp_path: Path) -> None:
    source = f"import atexit\natexit.register(lambda: open({str(tmp_path / 'x')!r}, 'w').close())\n"
    write(tmp_path / "a.test" / "wsgi" / "app.py", source + app("1"))
    run(
        tmp_path,
        """
        router = Router(base_path=str(base))
        wait_for(router.application, "a.test", "1")
        """,
    )
    assert (tmp_path / "x").exists()


def test_importing_the_package_does_nothing(tmp_path: Path) -> None:
    source = """
    import threading
    Router(base_path=str(base))
    assert threading.active_count() == 1
    assert logging.getLogger("mod_wsgi_van").handlers == []
    assert "mod_wsgi" not in sys.modules
    """
    run(tmp_path, source)


def test_a_missing_base_path_is_said(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        router = Router(base_path=str(base / "missing"))
        assert get(router.application, "a.test").status == 404
        site(base / "missing", "a.test", "there")
        wait_for(router.application, "a.test", "there")
        router.shutdown()
        """,
    )
    assert done.stderr.count("VAN013") == 1
    assert str(tmp_path / "missing") in done.stderr


def test_two_routers_in_one_process(tmp_path: Path) -> None:
    for name in ("one", "two"):
        site(tmp_path / name, "a.test", name)
    run(
        tmp_path,
        """
        routers = {name: Router(base_path=str(base / name)) for name in ("one", "two")}
        for _ in range(3):
            for name, router in routers.items():
                assert get(router.application, "a.test").body == name
        routers["one"].shutdown()
        site(base / "two", "a.test", "changed")
        wait_for(routers["two"].application, "a.test", "changed")
        routers["two"].shutdown()
        """,
    )
