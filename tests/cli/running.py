"""The command as a process of its own, and what is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from tests.support.connection import ask
from tests.support.links import swap
from tests.support.waiting import DEADLINE, wait

APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"release {}"]
"""


def deploy(base: Path, number: int) -> None:
    """Swap the link of a.example."""
    swap(base / "a.example", base / f".releases/{number}")


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

        match = wait(said, "the command is ready")
        assert match
        return int(match[1])

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal it, as a shell's kill does: this process alone. Returns the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
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
    answer = ask(port, host, path)
    return answer.status, answer.body
