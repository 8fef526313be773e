"""Two changes of one site at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.lock import locked

_HOLD = """
import sys, time
from pathlib import Path
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.lock import locked
with locked(Home(Path(sys.argv[1]), sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(home: Home) -> subprocess.Popen[str]:
    home.path.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(home.base), home.site], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_the_lock(home: Home, holder: subprocess.Popen[str]) -> None:
    with holder:
        with (
            pytest.raises(DeployFailed, match=rf"by process {holder.pid} of .* since 20"),
            locked(home),
        ):
            raise AssertionError
        holder.send_signal(signal.SIGKILL)
    with locked(home):
        pass


def test_it_can_be_taken_again_and_again(home: Home) -> None:
    home.path.mkdir(parents=True)
    for _ in range(2):
        with locked(home):
            assert str(os.getpid()) in home.lock.read_text()
    assert home.lock.read_text() == ""


def test_what_is_no_file_is_no_lock(home: Home) -> None:
    home.path.mkdir(parents=True)
    os.mkfifo(home.lock)
    with pytest.raises(DeployFailed, match="is not a lock"), locked(home):
        pass
    home.lock.unlink()
    home.lock.symlink_to("/dev/null")
    with pytest.raises(OSError), locked(home):
        pass
