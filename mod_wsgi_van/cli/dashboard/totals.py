"""Counters summed over all processes, which do not go back when a process ends."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

Key = tuple[str, ...]  # the counter, the site or code, and the reason where it has one
Process = tuple[str, float]  # its socket, and when it started: a pid is used again


_BY_REASON = (("refused", "refused"), ("reloads", "reloads"), ("restarts", "worker_restarts"))


def counted(process: Mapping[str, Any], sites: Iterable[Mapping[str, Any]]) -> dict[Key, float]:
    """All counters of one answer."""
    found: dict[Key, float] = {}
    for code, count in (process.get("events") or {}).items():
        found["events", code] = count
    for line in sites:
        name = line["site"]
        found["requests", name] = line["requests"]
        found["loads", name] = line["loads"]["count"]
        found["load_seconds", name] = line["loads"]["seconds"]
        for counter, key in _BY_REASON:
            for reason, count in line[key].items():
                found[counter, name, reason] = count
    return found


class Totals:
    """The sums. Not for two threads at once."""

    def __init__(self) -> None:
        self._before: dict[Key, float] = {}  # of processes that ended
        self._now: dict[Process, dict[Key, float]] = {}

    def update(self, answers: Mapping[Process, dict[Key, float]], silent: Collection[str]) -> None:
        """Take what the processes count now.

        Those of the sockets ``silent`` did not answer in time and keep what they had. A process
        that is not there has ended.
        """
        kept = {each: seen for each, seen in self._now.items() if each[0] in silent}
        now = {**kept, **answers}
        for process, seen in self._now.items():
            counts = now.get(process, {})
            for key, value in seen.items():
                if counts.get(key, 0) < value:  # it ended, or has the site anew
                    self._before[key] = self._before.get(key, 0) + value
        self._now = now

    def forget(self, paths: Mapping[str, str]) -> set[str]:
        """Let the sites of ``paths`` go whose directory is gone; returns their names."""
        gone = {name for name, path in paths.items() if not os.path.lexists(path)}
        if gone:
            for key in [key for key in self._before if key[0] != "events" and key[1] in gone]:
                del self._before[key]
        return gone

    def sums(self) -> dict[Key, float]:
        total = dict(self._before)
        for counts in self._now.values():
            for key, value in counts.items():
                total[key] = total.get(key, 0) + value
        return total


def of(sums: Mapping[Key, float], counter: str) -> Iterator[tuple[Key, float]]:
    """The labels and the values of one counter."""
    return ((key[1:], value) for key, value in sums.items() if key[0] == counter)
