"""What several daemon processes tell of one site, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mod_wsgi_van.cli.asking import Line, Reply

# What is shown where processes differ: the worst.
WORST = ("failed", "refused", "holding", "loading", "maintenance", "loaded", "unloaded")
BROKEN = ("failed", "refused", "holding")


@dataclass(frozen=True, slots=True)
class Standing:
    """One site; ``told`` has a line of each process that knows it, by the process's pid."""

    site: str
    told: dict[int, Line]

    def sum(self, of: Callable[[Line], Any]) -> Any:
        return sum(of(line) for line in self.told.values())

    def values(self, key: str) -> list[Any]:
        """The different ones; that of the release that went live last comes first."""
        lines = sorted(self.told.values(), key=lambda line: line["since"] or 0, reverse=True)
        return list(dict.fromkeys(line[key] for line in lines if line[key]))

    @property
    def state(self) -> str:
        states = {line["state"] for line in self.told.values()}
        return min(states, key=WORST.index, default="unloaded")

    @property
    def release(self) -> str:
        return str(next(iter(self.values("release")), ""))

    @property
    def workers(self) -> list[Line]:
        return [worker for line in self.told.values() for worker in line["workers"]]

    @property
    def failure(self) -> Line | None:
        """The last one."""
        failures = [line["failure"] for line in self.told.values() if line["failure"]]
        return max(failures, key=lambda failure: float(failure["time"]), default=None)

    def reasons(self, key: str) -> str:
        """What was counted by reason."""
        total: Counter[str] = Counter()
        for line in self.told.values():
            total.update(line[key])
        return ", ".join(f"{count} {reason}" for reason, count in total.items() if count) or "0"

    def newest(self, key: str) -> float:
        """The last of some times, 0 where there is none."""
        return max((line[key] or 0 for line in self.told.values()), default=0)

    def differences(self) -> list[str]:
        """Which processes are in another state, or have another release, than the rest."""
        said = []
        for pid, line in self.told.items():
            if line["state"] == "holding" or (line["release"] and line["release"] != self.release):
                said.append(f"process {pid} has {line['release']}, and is {line['state']}")
            elif line["state"] != self.state or len(self.values("release")) > 1:
                said.append(f"process {pid} is {line['state']}")
        return said if len(self.told) > 1 else []


def standings(replies: Iterable[Reply]) -> list[Standing]:
    """All sites, by name."""
    found: dict[str, Standing] = {}
    for reply in replies:
        for line in reply.sites:
            standing = found.setdefault(line["site"], Standing(line["site"], {}))
            standing.told[reply.process["pid"]] = line
    return [found[name] for name in sorted(found)]
