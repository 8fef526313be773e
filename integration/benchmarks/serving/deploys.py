"""One deploy while clients ask without a pause, and what they meet."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from integration.benchmarks.serving.contender import Contender
from integration.load import Load
from tests.support.waiting import wait

WATCHERS = 2  # connections that ask


@dataclass(slots=True)
class Deploys:
    """What the clients of one contender met during its deploys."""

    bad: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)  # ms, the longest of each deploy


class Pause:
    """The longest time in which no client got an answer."""

    def __init__(self, load: Load) -> None:
        self.longest = 0.0
        self._load, self._total, self._since = load, load.total, time.perf_counter()

    def look(self) -> None:
        now, total = time.perf_counter(), self._load.total
        self.longest = max(self.longest, now - self._since)
        if total != self._total:
            self._total, self._since = total, now


def reload(
    host: str, kind: str, met: dict[str, Deploys], contender: Contender, number: int
) -> float:
    """Milliseconds from the swap to the end of the first answer of the new release."""
    with Load(contender.running.port, [host], WATCHERS, one_router=True) as load:
        load.wait_for(10)
        contender.deploy(host, kind, number)
        swapped = time.perf_counter()
        contender.renew(host)
        pause = Pause(load)

        def live() -> bool:
            pause.look()
            return load.newest.get((host, 0)) == number

        wait(
            live,
            f"{contender.name} reloads {host}",
            pause=0.0005,
            tell=lambda: "\n".join([*load.bad[:5], contender.running.httpd.log()[-5000:]]),
        )
        taken = time.perf_counter() - swapped
        load.wait_for(50)
    met[contender.name].bad += load.bad
    met[contender.name].pauses.append(pause.longest * 1000)
    return taken * 1000
