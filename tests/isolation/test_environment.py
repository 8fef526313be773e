"""A site whose environment is odd, out of reach, or being made anew, on a live router."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.isolation.tested import FITS_PURE, package, trials
from tests.support.children import NOBODY, in_child
from tests.support.client import get, wait_for
from tests.support.log import errors, listening
from tests.support.venvs import make_venv
from tests.support.vhosts import app, site, write
from tests.support.waiting import wait


def install(venv: Path, version: int) -> None:
    write(venv / "lib" / "python3" / "site-packages" / "library.py", f"NAME = 'library {version}'")


def write_site(base: Path) -> Path:
    """A site that answers what the library in its environment is called."""
    source = "import library\n" + app("@").replace("'@'", "library.NAME")
    write(base / "a.test" / "wsgi" / "app.py", source)
    return base / "a.test"


@pytest.fixture
def with_library(tmp_path: Path) -> Path:
    return write_site(tmp_path)


@pytest.mark.parametrize("links", [False, True], ids=["directory", "link"])
def test_the_old_release_serves_while_an_environment_is_made_anew(
    with_library: Path, make_router: Any, caplog: pytest.LogCaptureFixture, links: bool
) -> None:
    venv = with_library / ".venv"
    made = with_library.parent / "venvs" / "a" if links else venv
    if links:
        venv.symlink_to(made)
    install(make_venv(made), 1)
    router = make_router()
    assert get(router.application, "a.test").body == "library 1"

    made.joinpath("pyvenv.cfg").unlink()
    wait(lambda: "VAN027" in caplog.text and "no pyvenv.cfg" in caplog.text, "the line in the log")
    assert get(router.application, "a.test").body == "library 1"
    shutil.rmtree(made)
    made.mkdir()
    made.joinpath("pyvenv.cfg").write_text("home = /usr/bin\n")
    wait(lambda: "no bin/python" in caplog.text, "the line in the log")
    assert get(router.application, "a.test").body == "library 1"
    install(made, 2)
    made.joinpath("pyvenv.cfg").unlink()
    make_venv(made)
    wait_for(router.application, "a.test", "library 2")
    assert all("a.test" in line and str(made) in line for line in errors(caplog))


def test_a_first_load_waits_for_the_interpreter(with_library: Path, make_router: Any) -> None:
    venv = with_library / ".venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    install(venv, 1)
    router = make_router()
    assert get(router.application, "a.test").status == 500
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to("/usr/bin/python3")
    wait_for(router.application, "a.test", "library 1")


@pytest.mark.parametrize("name", [".venv", ".venv/lib", ".venv/lib/python3"])
def test_an_environment_that_may_not_be_entered(open_path: Path, name: str) -> None:
    install(make_venv(write_site(open_path) / ".venv"), 1)
    closed = open_path / "a.test" / name

    def test() -> None:
        logged = listening()
        router = Router(base_path=str(open_path), update_interval=0.1)
        get(router.application, "warm.test")
        closed.chmod(0)
        if os.getuid() == 0:
            os.seteuid(NOBODY)  # root's own may be the standard library that is loaded from
        assert get(router.application, "a.test").status == 500
        user = pwd.getpwuid(os.geteuid()).pw_name
        (line,) = wait(lambda: [line for line in logged.lines if "VAN015" in line], "the line")
        assert "a.test" in line and f"{closed} may not be " in line and user in line
        os.seteuid(os.getuid())
        closed.chmod(0o755)
        wait_for(router.application, "a.test", "library 1")
        router.shutdown()

    in_child(test)


def test_an_interpreter_that_is_out_of_reach(open_path: Path) -> None:
    install(make_venv(write_site(open_path) / ".venv"), 1)
    closed = open_path / "home"
    closed.mkdir()
    python = open_path / "a.test" / ".venv" / "bin" / "python"
    python.rename(closed / "python3")
    python.symlink_to(closed / "python3")

    def test() -> None:
        logged = listening()
        router = Router(base_path=str(open_path), isolation="process")
        closed.chmod(0)
        if os.getuid() == 0:
            os.seteuid(NOBODY)
        assert get(router.application, "a.test").status == 500
        user = pwd.getpwuid(os.geteuid()).pw_name
        (line,) = [line for line in logged.lines if "VAN007" in line]
        why = f"{python} leads to {closed}/python3, and the directory {closed} may not be entered"
        assert f"{why} by {user}" in line and "-m venv" not in line
        os.seteuid(os.getuid())
        router.shutdown()

    in_child(test)
    closed.chmod(0o700)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 400 * 1024**2)


@pytest.mark.parametrize(
    "name",
    [
        "pyvenv.cfg",
        "lib/python3/site-packages/more.pth",
        "lib/python3/site-packages/thing-1.dist-info/RECORD",
        "lib/python3/site-packages/thing-1.dist-info/WHEEL",
    ],
)
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, sparse, lambda path: path.symlink_to("/dev/zero")],
    ids=["FIFO", "sparse", "device"],
)
def test_a_file_that_is_no_small_regular_file_refuses_the_release(
    with_library: Path,
    make_router: Any,
    caplog: pytest.LogCaptureFixture,
    name: str,
    make: Callable[[Path], object],
) -> None:
    venv = make_venv(with_library / ".venv")
    install(venv, 1)
    path = venv / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    site(with_library.parent, "b.test", "fine")
    router = make_router()
    assert get(router.application, "a.test").status == 500
    assert get(router.application, "b.test").body == "fine"
    (line,) = wait(lambda: errors(caplog), "the error in the log")
    assert "\n" not in line and "a.test" in line and "VAN018" in line and str(path) in line
    path.unlink()
    path.write_text("home = /usr/bin\n" if name == "pyvenv.cfg" else "")
    wait_for(router.application, "a.test", "library 1")


RUNNING = "{}.{}".format(*sys.version_info)
PURE = [each for each in trials() if each.result == FITS_PURE and each.minor == RUNNING]
if PURE:  # of Python 3.12 none was found

    def test_a_release_does_without_the_compiled_part_of_a_library(
        tmp_path: Path, make_router: Any
    ) -> None:
        """As MarkupSafe 2.1.5, which keeps a class of the first release in a C variable."""
        name, version = package(PURE[0].name), PURE[0].version
        source = f"from {name} import part\n" + app("@").replace("'@'", "part.KIND")
        write(tmp_path / "a.test" / "wsgi" / "app.py", source)
        packages = make_venv(tmp_path / "a.test" / ".venv") / "lib" / "python3" / "site-packages"
        write(packages / name / "part.py", "KIND = 'in Python'")
        write(packages / name / "part.so", "compiled")
        write(packages / f"{name}-{version}.dist-info" / "RECORD", f"{name}/part.so,,\n")
        router = make_router()
        assert get(router.application, "a.test").body == "in Python"
