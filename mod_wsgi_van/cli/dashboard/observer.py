"""Asks the daemon's processes and makes one picture of what they answer."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mod_wsgi_van.cli import asking
from mod_wsgi_van.cli.asking import Reply
from mod_wsgi_van.cli.dashboard.history import STEP, History
from mod_wsgi_van.cli.dashboard.totals import Key, Process, Totals, counted
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.cli.summing import BROKEN, Standing, standings

log = logging.getLogger(__name__)

ALL = ""  # the name under which the history has all sites together

_SHARE = 20  # of the time between two questions, the part that asking may take


def memory(site: Standing) -> int:
    """What its workers share with nobody, in bytes."""
    return sum(worker["private_bytes"] for worker in site.workers)


def pid(reply: Reply) -> int:
    """A process that does not answer is known by its socket; 0 where there is none."""
    number = os.path.basename(reply.socket).partition("-")[0]
    return int(reply.process.get("pid") or (number if number.isdigit() else 0))


@dataclass(frozen=True, slots=True)
class View:
    """What was answered at one moment. ``time`` is of the epoch, in seconds."""

    time: float
    told: Sequence[Reply]
    sites: Mapping[str, Standing]
    sums: Mapping[Key, float]

    @property
    def obstacle(self) -> str:
        """Why the daemon is not ready, or nothing."""
        if not self.told:
            return "no process of the daemon answers"
        for each in self.told:
            if each.error:
                return each.error
            if each.process.get("draining"):
                return f"process {pid(each)} drains: it is about to end"
        return ""


class Observer:
    """Keeps the last view, the history and, as versions, when the row of each site changed."""

    def __init__(self, directory: str) -> None:
        """``directory`` is where the processes listen."""
        self.directory = directory
        # Guards all below. It is held while the processes are asked, for 2 s at the most: whoever
        # comes meanwhile waits for the same answers.
        self._lock = threading.Lock()
        self._totals = Totals()
        self._history = History()
        self._paths: dict[str, str] = {}
        self._view: View | None = None
        self._asked = 0.0  # monotonic
        self._took = 0.0
        # A version is a number of microseconds, so that another dashboard's is never in the future
        # of this one's first.
        self._version = self._first = time.time_ns() // 1000
        self._rows: dict[str, tuple[int, list[Any]]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="van-observe", daemon=True)

    def start(self) -> None:
        """Keep the history, also while nobody looks."""
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping.wait(max(STEP, _SHARE * self._took)):
            try:
                self.look(STEP / 2)
            except Exception:
                log.exception("the dashboard met an unexpected error and goes on")

    def look(self, oldest: float = 1.0) -> View:
        """The view, not older than so many seconds."""
        with self._lock:
            return self._look(oldest)

    def changes(self, since: int) -> tuple[View, int, bool, list[list[Any]], list[Any]]:
        """The view, its version, and the rows that changed since the version ``since``.

        All rows, which the third value says, where that is not known. The last value is the row of
        all sites together.
        """
        with self._lock:
            view = self._look(1.0)
            whole = not self._first <= since <= self._version
            rows = [row for version, row in self._rows.values() if whole or version > since]
            return view, self._version, whole, rows, self._row_of_all(view)

    def site(self, name: str) -> tuple[Standing | None, list[tuple[float, float, float]]]:
        """A site with its history."""
        with self._lock:
            return self._look(1.0).sites.get(name), self._history.points(name)

    def past(self) -> list[tuple[float, float, float]]:
        """The history of all sites together."""
        with self._lock:
            return self._history.points(ALL)

    def _ask(self) -> Sequence[Reply]:
        try:
            return asking.processes(self.directory)
        except Problem as error:  # the page says so, and goes on when it is mended
            return [Reply(self.directory, error=str(error))]

    def _look(self, oldest: float) -> View:
        begun = time.monotonic()
        if self._view is None or begun - self._asked > oldest:
            self._view = self._taken(self._ask())
            self._write_rows(self._view)
            self._asked = time.monotonic()
            self._took = self._asked - begun
        return self._view

    def _taken(self, told: Sequence[Reply]) -> View:
        counts: dict[Process, dict[Key, float]] = {}
        for each in told:
            if not each.error:
                started = each.process.get("started") or 0.0
                counts[each.socket, started] = counted(each.process, each.sites)
        self._totals.update(counts, {each.socket for each in told if each.error})
        sites = {each.site: each for each in standings(told)}
        self._forget(sites)
        return View(time.time(), told, sites, self._totals.sums())

    def _forget(self, sites: Mapping[str, Standing]) -> None:
        """Sites that are gone: no process knows them, and there is no directory."""
        missing = {name: path for name, path in self._paths.items() if name not in sites}
        for name in self._totals.forget(missing):
            del self._paths[name]
        for name, site in sites.items():
            self._paths[name] = next(iter(site.told.values()))["path"]

    def _write_rows(self, view: View) -> None:
        self._version += 1
        if self._rows.keys() - view.sites.keys():  # whoever looks gets all rows anew
            self._rows = {name: self._rows[name] for name in self._rows if name in view.sites}
            self._first = self._version
        for name, site in view.sites.items():
            row = self._row(view, site)
            if (known := self._rows.get(name)) is None or known[1] != row:
                self._rows[name] = self._version, row
        if self._history.due(view.time):
            values = {name: (row[11], row[6]) for name, (_, row) in self._rows.items()}
            whole = self._row_of_all(view)
            self._history.record(view.time, {**values, ALL: (whole[2], whole[0])})

    def _row(self, view: View, site: Standing) -> list[Any]:
        """What the table of the page shows of a site; script.js has the names of the places."""
        requests = view.sums.get(("requests", site.site), 0)
        failure = (site.state in BROKEN and site.failure) or {}
        return [
            site.site,
            site.state,
            site.release,
            site.newest("since") or None,
            next(iter(site.values("isolation")), ""),
            next(iter(site.values("python")), ""),
            requests,
            round(self._history.rate(site.site, view.time, requests), 2),
            site.sum(lambda line: line["in_progress"]),
            site.sum(lambda line: line["queue"]),
            site.sum(lambda line: sum(line["refused"].values())),
            memory(site),
            site.newest("last_use") or None,
            failure.get("code") or "",
            failure.get("text") or "",
            len(site.values("release")),
        ]

    def _row_of_all(self, view: View) -> list[Any]:
        """Requests in all, a second, bytes, and requests under way, of everything."""
        rows = [row for _, row in self._rows.values()]
        memory = sum(each.process.get("private_bytes") or 0 for each in view.told)
        requests = sum(row[6] for row in rows)
        return [
            requests,
            round(self._history.rate(ALL, view.time, requests), 2),
            memory + sum(row[11] for row in rows),
            sum(row[8] for row in rows),
        ]
