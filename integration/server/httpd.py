"""A private httpd in the foreground: own ServerRoot, own port; only its own process is ended."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from integration.server import programs
from tests.support.children import descendants
from tests.support.waiting import wait

# An inherited PYTHONDONTWRITEBYTECODE or LANG would change what the daemon does.
ENVIRON = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

# mod_wsgi gives a request in flight this long when it is asked to end, and then some.
ENDS_WITHIN = 30.0


class Httpd:
    """One httpd; ``start`` returns when it accepts connections."""

    def __init__(self, root: Path, port: int, text: str) -> None:
        self.root = root
        self.port = port
        self._file = root / "httpd.conf"
        self._file.write_text(text)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        program = programs.httpd()
        assert program is not None
        command = [program, "-d", str(self.root), "-f", str(self._file), "-D", "FOREGROUND"]
        with (self.root / "stdout.log").open("w") as output:
            self._process = subprocess.Popen(
                command, env=ENVIRON, stdout=output, stderr=subprocess.STDOUT, text=True
            )
        wait(self._runs, "httpd runs", tell=self.log)

    def _runs(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"httpd ended with {self.process.returncode}:\n{self.log()}")
        return self.resumed() > 0

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "start() first"
        return self._process

    def stop(self) -> None:
        """End it and wait for the end; may be called twice."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def signal_and_wait(self, number: signal.Signals) -> None:
        """SIGUSR1 is apachectl graceful, SIGHUP restart; returns when the new generation runs."""
        before = self.resumed()
        self.process.send_signal(number)
        wait(lambda: self.resumed() > before, f"httpd answers {number.name}", tell=self.log)

    def resumed(self) -> int:
        return self.log().count("resuming normal operations")

    def log(self) -> str:
        """The error log so far, with what httpd printed before there was one."""
        files = (self.root / "stdout.log", self.root / "error.log")
        return "".join(f.read_text(errors="replace") for f in files if f.exists())

    def lines(self, pattern: str) -> list[str]:
        """The lines of the error log that a regular expression matches somewhere."""
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_for_line(self, pattern: str) -> str:
        wait(lambda: bool(self.lines(pattern)), f"a line with {pattern!r}", tell=self.log)
        return self.lines(pattern)[0]


def daemons(httpd: Httpd) -> list[int]:
    """The process ids of mod_wsgi's daemon processes, told by their display-name."""
    return [pid for pid in descendants(httpd.process.pid) if _title(pid).startswith("(wsgi:")]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended meanwhile
        return ""
