"""The tables and lines of the command status."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence

import click

from mod_wsgi_van.cli.asking import Line, Reply
from mod_wsgi_van.cli.summing import Standing

_COLOURS = {"loaded": "green", "loading": "yellow", "maintenance": "yellow", "unloaded": "white"}
_PROCESS = ("PROCESS", "AGE", "GROUP", "SERVER", "PYTHON", "BUSY", "PRIVATE", "WATCH", "", "BASE")
_SITE = (
    *("SITE", "STATE", "RELEASE", "SINCE", "ISOLATION", "PYTHON", "REQUESTS", "NOW", "QUEUE"),
    *("REFUSED", "WORKERS", "PRIVATE", "USED", "LAST FAILURE"),
)
_WORKER = ("WORKER", "AGE", "REQUESTS", "CPU", "PRIVATE", "USED")


def processes(replies: Iterable[Reply]) -> Iterator[str]:
    rows = []
    for reply in replies:
        of = reply.process
        rows.append(
            (
                of["pid"],
                age(of["started"]),
                of["process_group"] or "-",
                of["server"] or "-",
                of["python"],
                f"{of['busy_threads']}/{of['threads'] or '-'}",
                megabytes(of["private_bytes"]),
                of["watch"],
                "draining" if of["draining"] else "",
                of["base_path"],
            )
        )
    yield from columns(_PROCESS, rows)


def sites(found: Sequence[Standing]) -> Iterator[str]:
    """A line for each, the state in colour."""
    first, *lines = columns(_SITE, map(_row, found))
    yield first
    for line, each in zip(lines, found, strict=True):
        name, gap, rest = line.partition("  ")
        colour = _COLOURS.get(each.state, "red")
        yield name + gap + rest.replace(each.state, click.style(each.state, fg=colour), 1)


def _row(of: Standing) -> tuple[object, ...]:
    failure, workers = of.failure, of.workers
    private = sum(worker["private_bytes"] for worker in workers)
    return (
        of.site,
        of.state,
        os.path.basename(of.release) or "-",
        age(of.newest("since")),
        "/".join(of.values("isolation")) or "-",
        "/".join(of.values("python")) or "-",
        of.sum(lambda line: line["requests"]),
        of.sum(lambda line: line["in_progress"]),
        of.sum(lambda line: line["queue"]),
        of.sum(lambda line: sum(line["refused"].values())),
        len(workers) or "-",
        megabytes(private) if workers else "-",
        age(of.newest("last_use")),
        f"{failure['code']} {age(failure['time'])} ago" if failure else "",
    )


def details(of: Standing) -> Iterator[str]:
    """All that is known of one site."""
    facts = [*_facts(of), *(("differs", each) for each in of.differences())]
    yield from (f"{name + ':':17}{printable(str(fact))}" for name, fact in facts)
    if of.workers:
        yield ""
        yield from columns(_WORKER, map(_worker, of.workers))


def _facts(of: Standing) -> Iterator[tuple[str, object]]:
    yield "site", of.site
    yield "state", of.state
    yield "path", "; ".join(of.values("path"))
    yield "release", of.release or "none"
    yield "live for", age(of.newest("since"))
    isolation, reason = ", ".join(of.values("isolation")), "; ".join(of.values("reason"))
    yield "isolation", f"{isolation} ({reason})" if isolation else "-"
    yield "python", ", ".join(of.values("python")) or "-"
    under_way = of.sum(lambda line: line["in_progress"])
    yield "requests", f"{of.sum(lambda line: line['requests'])}, {under_way} under way"
    yield "last request", f"{age(of.newest('last_use'))} ago" if of.newest("last_use") else "none"
    yield "queue", of.sum(lambda line: line["queue"])
    yield "refused", of.reasons("refused")
    last = max((line["loads"]["last_seconds"] for line in of.told.values()), default=0)
    yield "loads", f"{of.sum(lambda line: line['loads']['count'])}, the last one in {last:.2f} s"
    yield "reloads", of.reasons("reloads")
    yield "worker restarts", of.reasons("worker_restarts")
    if failure := of.failure:
        yield "last failure", f"{failure['code']} {age(failure['time'])} ago: {failure['text']}"


def _worker(of: Line) -> tuple[object, ...]:
    return (
        of["pid"],
        age(of["started"]),
        of["requests"],
        f"{of['cpu_seconds']:.1f} s",
        megabytes(of["private_bytes"]),
        age(of["last_use"]),
    )


def age(since: float | None) -> str:
    """How long ago, in the largest unit."""
    if not since:
        return "-"
    seconds = max(0, int(time.time() - since))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def megabytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"


def columns(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table. Ten thousand of them are to cost no second, as they would with rich."""
    table = [heads, *([printable(str(each)) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]


def printable(text: str) -> str:
    """Names and texts of sites move no terminal's cursor."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
