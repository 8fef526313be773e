import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.cli import apache, demo
from mod_wsgi_van.cli.problem import Problem
from tests.cli.running import Command, get
from tests.support.waiting import wait

# Kept between runs: it holds an environment with Flask.
CACHE = Path(__file__).parents[2] / ".build/tests/demo"

COMMAND = re.compile(r"^ +(\w[\w ]+): +(\S.*)$", re.MULTILINE)


def test_what_it_tells_to_do_does_what_it_says(command: Callable[..., Command]) -> None:
    running = command("demo", str(CACHE), "--port", "0", "--server", "waitress")
    port = running.wait_ready()
    wait(lambda: "Ctrl-C ends everything." in running.text, "the instructions are printed")
    hosts = re.findall(rf"^  http://(\w+\.localhost):{port}/$", running.text, re.MULTILINE)
    assert hosts == [demo.HELLO, demo.FLASK], running.text
    told = dict(COMMAND.findall("".join(running.out)))

    def do(what: str) -> None:
        subprocess.run(told[what], shell=True, check=True, cwd="/")

    def answers(host: str, status: int, words: str) -> None:
        wait(
            lambda: (answer := get(port, host))[0] == status and words in answer[1],
            f"{host} answers {status} {words}\n{running.text}",
        )

    answers(demo.HELLO, 200, "Hello from release 1")
    do("deploy release 2")
    answers(demo.HELLO, 200, "Hello from release 2")
    do("deploy a broken")
    wait(lambda: "broken on purpose" in "".join(running.err), "the log says what is broken")
    answers(demo.HELLO, 200, "Hello from release 2")
    do("delete the site")
    answers(demo.HELLO, 404, "")
    do("bring it back")
    answers(demo.HELLO, 200, "Hello from release 1")
    answers(demo.FLASK, 200, "Hello from Flask 3.")
    do("edit in place")
    answers(demo.FLASK, 200, "Goodbye from Flask 3.")
    assert running.end() == 0


def test_making_it_again_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_make_flask", lambda site: "not in this test")
    base = tmp_path / "base"
    demo.make(base)
    (base / demo.HELLO).unlink()
    (base / demo.HELLO).symlink_to(".releases/hello-2")
    made = demo.make(base)
    assert (base / demo.HELLO).readlink() == Path(".releases/hello-1")
    assert "(no Flask site: not in this test)" in demo.instructions(made, 8080)
    assert "http://flask" not in demo.instructions(made, 8080)


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(Problem, match="mine"):
        demo.make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_environment_is_of_a_python_that_httpds_user_can_run(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = open_path / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(sys, "executable", str(private / "python3"))
    closed = bool(apache.daemon_user())  # to root's httpd, not to one that runs as the caller
    monkeypatch.setitem(apache.ENVIRON, "PATH", "/nonexistent")
    assert demo.interpreter() == private / "python3"
    system = open_path / "python3"
    system.write_text("#!/bin/sh\nexit 0\n")
    system.chmod(0o755)
    monkeypatch.setitem(apache.ENVIRON, "PATH", str(open_path))
    assert demo.interpreter() == (system if closed else private / "python3")


def test_paths_are_quoted_for_the_shell() -> None:
    assert "'/a b/hello.localhost'" in demo.instructions(demo.Demo(Path("/a b")), 80)
