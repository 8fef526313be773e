"""The command as a process of its own, and what is left of it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

WITHIN = 60.0  # seconds; generous, a loaded machine is no failure

APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"release {}"]
"""


def deploy(base: Path, number: int) -> None:
    """Swap the link of a.example."""
    new = base / ".releases/new"
    new.symlink_to(base / f".releases/{number}")
    new.replace(base / "a.example")


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN:.0f} s: {what}"
        time.sleep(0.02)


def descendants(pid: int) -> set[int]:
    """The processes below ``pid``, from /proc."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            found |= {child, *descendants(child)}
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that its parent has not looked at yet does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class Command:
    """``python -m mod_wsgi_van ...``, its output collected by two threads."""

    def __init__(self, *arguments: str, temporary: Path) -> None:
        self.temporary = temporary  # its TMPDIR
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mod_wsgi_van", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(temporary)},
            process_group=0,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        assert self.process.stdout and self.process.stderr
        self._readers = [
            threading.Thread(target=_collect, args=pair)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def text(self) -> str:
        return "".join(self.out) + "".join(self.err)

    def wait_ready(self) -> int:
        """The port, once it says that it serves."""

        def said() -> re.Match[str] | None:
            assert self.process.poll() is None, self.text
            return re.search(r"^Serving .* on http://127.0.0.1:(\d+)/", self.text, re.MULTILINE)

        until(said, "the command is ready")
        match = said()
        assert match
        return int(match[1])

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal it, as a shell's kill does: this process alone. Returns the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(WITHIN)
        for reader in self._readers:
            reader.join(WITHIN)
        return status

    def close(self) -> None:
        """At the end of a test, whatever became of it."""
        if self.process.poll() is None:
            self.process.terminate()
        self.wait()


def _collect(stream: IO[str], lines: list[str]) -> None:
    with stream:
        lines.extend(stream)


def get(port: int, host: str, path: str = "/") -> tuple[int, str]:
    """Status and body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
