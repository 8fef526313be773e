"""Many connections that ask without a pause, and a judgement of every answer."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from tests.support.answer import Answer
from tests.support.connection import Connection
from tests.support.waiting import wait


class Load:
    """Connections that hammer ``hosts`` until the with block ends; then ``bad`` is complete.

    Connection i asks for ``hosts[i % len(hosts)]`` only. An answer is bad when it is not 200, when
    a module of another site or two releases of one site took part in it, or when its release is
    older than one that the same process had shown before the request was sent. With ``one_router``
    all answers come from one router, and its workers' process ids are no excuse.
    """

    def __init__(
        self, port: int, hosts: Sequence[str], connections: int = 8, *, one_router: bool = False
    ) -> None:
        self.answers: Counter[str] = Counter()  # by host
        self.bad: list[str] = []
        self.newest: dict[tuple[str, int], int] = {}  # (host, pid) -> release
        self.loads: set[tuple[str, str]] = set()  # (host, load id)
        self.answered: set[str] = set()  # the query strings of requests that got a 200
        self._port = port
        self._one_router = one_router
        self._hosts = set(hosts)
        self._lock = threading.Lock()  # guards answers, newest and loads
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(i, hosts[i % len(hosts)]), name=f"load-{i}")
            for i in range(connections)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def wait_for(self, answers: int) -> None:
        """Return when so many more answers have come for each host that is asked for."""
        with self._lock:
            before = Counter(self.answers)
        wait(
            lambda: all(self.answers[host] - before[host] >= answers for host in self._hosts),
            f"{answers} answers for each of {sorted(self._hosts)}",
            seconds=120,
            tell=lambda: "\n".join(self.bad[:5]),
        )

    def _run(self, index: int, host: str) -> None:
        connection = Connection(self._port)
        for number in itertools.count():
            if self._ended.is_set():
                break
            query = f"{index}-{number}"
            with self._lock:
                floors = dict(self.newest)
            try:
                answer = connection.ask(host, f"/?{query}")
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(f"{host}: {error!r}")
                connection.close()
            else:
                self._judge(host, answer, floors)
                if answer.status == 200:
                    self.answered.add(query)
        connection.close()

    def _judge(self, host: str, answer: Answer, floors: dict[tuple[str, int], int]) -> None:
        wrong = self._wrong(host, answer, floors)
        if wrong:
            self.bad.append(f"{host}: {wrong}: {answer.status} {answer.body[:300]}")
        with self._lock:
            self.answers[host] += 1

    def _wrong(self, host: str, answer: Answer, floors: dict[tuple[str, int], int]) -> str:
        if answer.status != 200:
            return "not 200"
        said = answer.json
        seen = {tuple(pair) for pair in said["seen"]}
        if {site for site, _ in seen} != {host.split(".")[0]}:
            return "another site's code"
        if len(seen) != 1:
            return "two releases in one answer"
        release = int(said["seen"][0][1])
        key = (host, 0 if self._one_router else int(said["pid"]))
        if release < floors.get(key, 0):
            return f"went back from {floors[key]}"
        with self._lock:
            self.newest[key] = max(release, self.newest.get(key, 0))
            self.loads.add((host, said["load"]))
        return ""
