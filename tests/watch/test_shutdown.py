"""The end of a process and of an interpreter, with the watcher stopped and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.watch.probe import release

WATCH = """
import os, sys, threading
sys.path[:] = {path!r}
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.files.target import Target
seen = threading.Event()
watcher = Watcher(
    lambda key: seen.set(), setting={setting!r}, ignore=Ignore(), update_interval=0.02
)
watcher.start()
watcher.arm("host", Target({wsgi!r}))
with open({wsgi!r} + "/app.py", "a") as file:
    file.write("#" * 9)
assert watcher.polled() or seen.wait(20)
"""
STOP = """
watcher.stop()
watcher.stop()
assert threading.active_count() == 1, threading.enumerate()
left = [os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")
        if os.path.islink("/proc/self/fd/" + name)]
assert not any("anon_inode" in link or "mountinfo" in link for link in left), left
"""
SUB = """
import sys
code = {code!r}
if sys.version_info >= (3, 13):
    import _interpreters
    sub = _interpreters.create("legacy")
    failed = _interpreters.run_string(sub, code)
    assert failed is None, failed
    _interpreters.destroy(sub)
else:
    import _xxsubinterpreters
    sub = _xxsubinterpreters.create(isolated=False)
    _xxsubinterpreters.run_string(sub, code)
    _xxsubinterpreters.destroy(sub)
"""


def _run(code: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", code + "\nprint('end')"],
        capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr
    assert "Error" not in result.stderr


@pytest.mark.parametrize("setting", ["inotify", "polling", "auto"])
@pytest.mark.parametrize("end", [STOP, ""], ids=["stopped", "left running"])
def test_in_the_main_interpreter(tmp_path: Path, setting: str, end: str) -> None:
    wsgi = str(release(tmp_path / "host"))
    _run(WATCH.format(path=sys.path, setting=setting, wsgi=wsgi) + end)


@pytest.mark.parametrize("setting", ["inotify", "polling", "auto"])
def test_in_a_sub_interpreter(tmp_path: Path, setting: str) -> None:
    """As mod_wsgi does by default."""
    wsgi = str(release(tmp_path / "host"))
    code = WATCH.format(path=sys.path, setting=setting, wsgi=wsgi) + STOP
    _run(SUB.format(code=code))
