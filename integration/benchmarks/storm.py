"""A storm of deploys under httpd: 1,500 sites, 60 of them Flask, 20 swaps a second for two minutes.

A fifth of the new releases are broken. Requests are sent at their intended times, to sites chosen
at random and to a plain application in a daemon process of its own, and measured from those times.
Every answer is judged: another site's, an older release after a newer one, two releases in one
answer, a release that was never deployed. Memory is the daemon process's private one.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from integration.benchmarks.figures import percentile, print_table, quick
from integration.server.flavours import DEBIAN, Flavour, flavour
from integration.server.httpd import daemons
from integration.server.programs import system_python
from integration.server.running import Running, prepare
from tests.support.connection import Connection
from tests.support.environments import environment
from tests.support.links import swap
from tests.support.places import open_directory

APP = """\
import part
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{host} {release} {{part.RELEASE}}".encode()]
"""
FLASK = """\
import flask, part
app = flask.Flask(__name__)
@app.get("/")
def answer():
    return f"{host} {release} {{part.RELEASE}}"
"""
BROKEN = "raise RuntimeError('broken on purpose')\n"
PLAIN = "plain.example"
CONNECTIONS = 24
PLAIN_BLOCK = """\
WSGIDaemonProcess plain processes=1 threads=8 python-home={home}
<VirtualHost *:{port}>
    ServerName plain.example
    WSGIProcessGroup plain
    WSGIApplicationGroup %{{GLOBAL}}
    WSGIScriptAlias / {script}
    <Directory {etc}>
        Require all granted
    </Directory>
</VirtualHost>
"""


@dataclass
class Campaign:
    """``sites`` in all, ``flask`` of them with Flask; ``rate`` swaps a second for ``seconds``."""

    sites: int
    flask: int
    rate: float
    seconds: float
    requests: float = 150.0  # a second, half of them to the plain application

    def host(self, number: int) -> str:
        return f"site{number}.domain.org"


@dataclass
class Releases:
    """Which release of each site may answer; ``lock`` guards all of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    good: dict[str, set[int]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)  # the newest one that can be loaded
    seen: dict[str, int] = field(default_factory=dict)


class Judge:
    """Counts the answers by what is wrong with them."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self.verdicts: Counter[str] = Counter()
        self.late: dict[str, list[float]] = {"sites": [], "plain": []}

    def take(self, host: str, due: float, before: int, status: int, body: str) -> None:
        kind = "plain" if host == PLAIN else "sites"
        took = (time.monotonic() - due) * 1000
        verdict = self._verdict(host, before, status, body) if kind == "sites" else "good"
        with self._releases.lock:
            self.late[kind].append(took)
            self.verdicts[verdict if status == 200 or kind == "sites" else f"plain {status}"] += 1

    def _verdict(self, host: str, before: int, status: int, body: str) -> str:
        if status != 200:
            return f"status {status}"
        name, own, part = body.split()
        if name != host:
            return "another site"
        if own != part:
            return "torn"
        with self._releases.lock:
            if int(own) not in self._releases.good[host]:
                return "never deployed"
            self._releases.seen[host] = max(int(own), self._releases.seen.get(host, 0))
        return "older" if int(own) < before else "good"


def write(running: Running, campaign: Campaign, number: int, release: int, broken: bool) -> Path:
    host = campaign.host(number)
    path = running.tree.base / ".builds" / host / str(release)
    (path / "wsgi").mkdir(parents=True)
    (path / "wsgi/part.py").write_text(f"RELEASE = {release}\n")
    text = FLASK if number < campaign.flask else APP
    text = BROKEN if broken else text.format(host=host, release=release)
    (path / "wsgi/app.py").write_text(text)
    if number < campaign.flask:
        (path / ".venv").symlink_to(environment(system_python(), ("flask==3.1.3",)))
    return path


def deploy(
    running: Running, campaign: Campaign, releases: Releases, number: int, release: int
) -> None:
    broken = release > 1 and random.random() < 0.2
    path = write(running, campaign, number, release, broken)
    host = campaign.host(number)
    with releases.lock:
        if not broken:
            releases.good.setdefault(host, set()).add(release)
            releases.last[host] = release
    swap(running.tree.base / host, path.relative_to(running.tree.base))


@contextmanager
def asking(
    running: Running, campaign: Campaign, releases: Releases, judge: Judge
) -> Iterator[None]:
    """Requests at their times until the with block ends."""
    due: queue.Queue[float | None] = queue.Queue()
    ended = threading.Event()

    def clock() -> None:
        at = time.monotonic()
        while not ended.is_set():
            at += 1 / campaign.requests
            time.sleep(max(0.0, at - time.monotonic()))
            due.put(at)
        for _ in range(CONNECTIONS):
            due.put(None)

    def ask() -> None:
        connection = Connection(running.port)
        while (at := due.get()) is not None:
            number = random.randrange(2 * campaign.sites)
            host = campaign.host(number) if number < campaign.sites else PLAIN
            with releases.lock:
                before = releases.seen.get(host, 0)
            answer = connection.ask(host)
            judge.take(host, at, before, answer.status, answer.body)
        connection.close()

    threads = [threading.Thread(target=each) for each in (clock, *[ask] * CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def start(flavour: Flavour) -> Running:
    running = prepare(flavour, "daemon")
    etc, script = running.layout.etc, running.layout.etc / "plain.wsgi"
    script.write_text(
        APP.format(host=PLAIN, release=0)
        .replace("import part\n", "")
        .replace("{part.RELEASE}", "0")
        .replace("app(", "application(")
    )
    block = PLAIN_BLOCK.format(home=flavour.home, port=running.port, script=script, etc=etc)
    conf = running.layout.root / "httpd.conf"
    conf.write_text(conf.read_text() + block)
    running.httpd.start()
    return running


def private_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    lines = [line.split() for line in text.splitlines() if line.startswith("Private_")]
    return sum(int(line[1]) for line in lines) / 1024


def daemon(running: Running) -> int:
    """The router's daemon process: the one with the sites in its memory."""
    return max(daemons(running.httpd), key=private_mb)


def live(running: Running, releases: Releases) -> float:
    """Seconds until every site answers with its newest good release."""
    begun = time.monotonic()
    connection = Connection(running.port)
    waiting = dict(releases.last)
    while waiting and time.monotonic() < begun + 120:
        for host, release in list(waiting.items()):
            with suppress(ValueError):
                if int(connection.ask(host).body.split()[1]) == release:
                    del waiting[host]
    connection.close()
    return time.monotonic() - begun if not waiting else float("inf")


def late(judge: Judge, kind: str) -> list[str]:
    values = judge.late[kind]
    return [f"{percentile(values, part):.1f}" for part in (0.5, 0.99, 0.999)] + [
        f"{max(values):.0f}"
    ]


def run(campaign: Campaign, running: Running) -> None:
    releases, rows = Releases(), []
    try:
        for number in range(campaign.sites):
            deploy(running, campaign, releases, number, 1)
        for number in range(campaign.sites):
            assert running.ask(campaign.host(number)).status == 200, number
        time.sleep(5)
        pid = daemon(running)
        memory = [private_mb(pid)]
        numbers = Counter[int](dict.fromkeys(range(campaign.sites), 1))
        for title in ("quiet", "storm", "after"):
            judge = Judge(releases)
            with asking(running, campaign, releases, judge):
                if title == "storm":
                    begun = time.monotonic()
                    for turn in range(int(campaign.rate * campaign.seconds)):
                        number = random.randrange(campaign.sites)
                        numbers[number] += 1
                        deploy(running, campaign, releases, number, numbers[number])
                        time.sleep(max(0.0, begun + turn / campaign.rate - time.monotonic()))
                else:
                    time.sleep(min(20.0, campaign.seconds))
            if title == "storm":
                all_live = live(running, releases)
                time.sleep(5)
            memory.append(private_mb(pid))
            for kind in ("sites", "plain"):
                rows.append([title, kind, str(len(judge.late[kind])), *late(judge, kind)])
            print(title, dict(judge.verdicts), f"{memory[-1]:.0f} MB", flush=True)
        print_table(
            f"{campaign.sites} sites, {campaign.rate:g} swaps a second for {campaign.seconds:g} s",
            ("when", "who", "requests", "p50, ms", "p99", "p99.9", "longest"),
            rows,
        )
        print(f"all live {all_live:.1f} s after the last swap")
        print(f"memory {memory[0]:.0f} MB before, {memory[-1]:.0f} after")
    finally:
        running.end()


def main() -> None:
    whole = Campaign(sites=1500, flask=60, rate=20, seconds=120)
    campaign = Campaign(sites=50, flask=2, rate=10, seconds=5) if quick(__doc__ or "") else whole
    with open_directory() as directory:
        run(campaign, start(flavour(DEBIAN, directory)))


if __name__ == "__main__":
    main()
