"""Deploys by the command under httpd, half of them broken, beside eight connections.

Six connections ask the site that is deployed, two another one, 30 times a second each. Every answer
is judged: an error, a broken release, an older release after a newer one. Waits are those
of the requests, before all deploys, and beside each kind of them.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import tarfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from uv import find_uv_bin

from integration.benchmarks.figures import percentile, print_table, quick
from integration.server.flavours import DEBIAN, flavour
from integration.server.running import Running, prepare
from tests.support.connection import Connection
from tests.support.places import PROJECT, open_directory

HOSTS = ("shop.domain.org", "quiet.domain.org")
LATE = 100.0  # ms
PAUSE = 1 / 30  # s
APP = """\
{begin}
RELEASE = {number}
def app(environ, start_response):
    start_response("{status}", [("Content-Type", "text/plain")])
    return [b"%d" % RELEASE]
"""
HANGS = "import time; time.sleep(60)"
IN_DAEMON = "assert '(wsgi:' not in open('/proc/self/cmdline').read()"
BEGIN = {
    "syntax": "x = (",
    "import": "import nothing_of_this_name",
    "raises": "1 / 0",
    "exits": "raise SystemExit",
    "dies": "import os; os.kill(os.getpid(), 9)",
    "hangs": HANGS,
    "no application": "",
    "fails in the daemon": IN_DAEMON,
}
BROKEN = [*BEGIN, "check", "requirement", "van.toml", "no wsgi", "trap", "killed"]


@dataclass
class Judge:
    """``lock`` guards all of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    good: set[str] = field(default_factory=set)
    bad: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[float]] = field(default_factory=dict)
    phase: str = "before"

    def ask(self, connection: Connection, host: str, newest: int) -> int:
        begun = time.monotonic()
        answer = connection.ask(host)
        took = (time.monotonic() - begun) * 1000
        with self.lock:
            self.waits.setdefault(self.phase, []).append(took)
            if answer.status != 200:
                self.bad[f"status {answer.status}"] += 1
            elif answer.body not in self.good:
                self.bad["broken release"] += 1
            elif int(answer.body) < newest:
                self.bad["older"] += 1
            else:
                return int(answer.body)
        return newest


def write(source: Path, number: int, what: str) -> str:
    """A source whose release is broken in some way, or "" for a sound one; what to deploy."""
    status = "500 Broken" if what == "check" else "200 OK"
    text = APP.format(begin=BEGIN.get(what, ""), number=number, status=status)
    if what == "no application":
        text = text.replace("def app", "def other")
    for name in ("requirements.txt", "van.toml", "trap.tar"):
        (source / name).unlink(missing_ok=True)
    (source / "wsgi").mkdir(parents=True, exist_ok=True)
    (source / "wsgi/app.py").write_text(text)
    if what == "requirement":
        (source / "requirements.txt").write_text("--no-index\nnothing-of-this-name\n")
    if what == "van.toml":
        (source / "van.toml").write_text("nonsense = 1\n")
    if what == "no wsgi":
        return str(source / "wsgi")
    if what == "trap":
        with tarfile.open(source / "trap.tar", "w") as archive:
            archive.add(source / "wsgi", "wsgi")
            archive.addfile(tarfile.TarInfo("../../trap"), io.BytesIO())
        return str(source / "trap.tar")
    return str(source)


def deploy(command: list[str], host: str, source: str, kill: bool = False) -> bool:
    """Whether it went live; ``kill`` ends it at some time."""
    run = [*command[:-1], "deploy", host, source, "--check", "/", "--config", command[-1]]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(run, stdout=quiet, stderr=quiet, start_new_session=True)
    if kill:
        time.sleep(random.uniform(0.2, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == 0


def campaign(running: Running, command: list[str], seconds: float, most: int) -> None:
    judge, ended, took = Judge(good={"0"}), threading.Event(), dict[str, list[float]]()
    source = running.layout.root / "source"
    for host in HOSTS:
        assert deploy(command, host, write(source, 0, ""))
        assert running.ask(host).body == "0"

    def load(host: str) -> None:
        connection, newest = Connection(running.port), 0
        while not ended.wait(PAUSE):
            newest = judge.ask(connection, host, newest)
        connection.close()

    threads = [threading.Thread(target=load, args=(HOSTS[i >= 6],)) for i in range(8)]
    for thread in threads:
        thread.start()
    wrong = Counter[str]()
    try:
        time.sleep(min(seconds, 30.0))
        until = time.monotonic() + seconds
        for number in range(1, most + 1):
            what = BROKEN[number // 2 % len(BROKEN)] if number % 2 else ""
            judge.phase, given = what or "sound", write(source, number, what)
            with judge.lock:
                judge.good |= {str(number)} if what in ("", "killed") else set()
            begun = time.monotonic()
            live = deploy(command, HOSTS[0], given, kill=what == "killed")
            if live != (not what) and what != "killed":
                wrong[what or "sound"] += 1
                print(f"deploy {number} ({what or 'sound'}): live {live}", flush=True)
            took.setdefault(what or "sound", []).append(time.monotonic() - begun)
            if time.monotonic() > until:
                break
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    told(judge, took, wrong)


def told(judge: Judge, took: dict[str, list[float]], wrong: Counter[str]) -> None:
    rows = []
    for phase, waits in judge.waits.items():
        late = sum(each > LATE for each in waits)
        figures = [f"{percentile(waits, part):.1f}" for part in (0.5, 0.99, 0.999)]
        rows.append([phase, str(len(waits)), *figures, f"{max(waits):.0f}", str(late)])
    print_table(
        f"{sum(map(len, took.values()))} deploys under 8 connections",
        ("when", "requests", "p50, ms", "p99", "p99.9", "longest", f"over {LATE:.0f} ms"),
        rows,
    )
    rows = [[what, str(len(each)), f"{percentile(each, 0.5):.2f}"] for what, each in took.items()]
    print_table("how long a deploy took", ("what", "deploys", "median, s"), rows)
    print(f"bad answers: {dict(judge.bad)}; deploys that ended otherwise than meant: {dict(wrong)}")


def main() -> None:
    seconds, most = (10.0, 30) if quick(__doc__ or "") else (1800.0, 1000)
    with open_directory() as directory:
        debian, status, file = (
            flavour(DEBIAN, directory),
            directory / "status",
            directory / "van.toml",
        )
        status.mkdir()
        status.chmod(0o777)
        settings = f'status_directory="{status}", load_timeout=3'
        running = prepare(debian, "daemon", settings=settings)
        base = f'base_path="{running.layout.base}"'
        file.write_text(settings.replace(", ", "\n") + f"\n{base}\n")
        try:
            running.httpd.start()
            home = directory / "command"
            install = ("pip", "install", "--refresh-package=mod-wsgi-van", "--python")
            for step in (("venv", "--python", debian.python, home), (*install, home, PROJECT)):
                subprocess.run([find_uv_bin(), "--quiet", *step], check=True)
            command = [str(home / "bin/python"), "-m", "mod_wsgi_van", str(file)]
            campaign(running, command, seconds, most)
        finally:
            running.end()


if __name__ == "__main__":
    main()
