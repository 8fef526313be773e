"""What the page asks for, as values of JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from mod_wsgi_van.cli.dashboard.observer import Observer, pid
from mod_wsgi_van.codes import CODES

_OF_A_PROCESS = (
    *("started", "version", "python", "server", "process_group", "base_path"),
    *("threads", "busy_threads", "watch", "draining", "private_bytes"),
)


def changes(observer: Observer, since: int) -> dict[str, Any]:
    """The processes, and the rows of the sites that changed since that version."""
    view, version, whole, rows, of_all = observer.changes(since)
    return {
        "version": version,
        "time": view.time,
        "whole": whole,
        "sites": rows,
        "all": of_all,
        "past": observer.past(),
        "obstacle": view.obstacle,
        "processes": [
            {"pid": pid(each), "error": each.error}
            | {key: each.process.get(key) for key in _OF_A_PROCESS}
            for each in view.told
        ],
    }


def site(observer: Observer, name: str) -> dict[str, Any] | None:
    """One site in each process, with its history; None where there is no such site."""
    found, points = observer.site(name)
    if found is None:
        return None
    codes = {(line["failure"] or {}).get("code") for line in found.told.values()}
    return {
        "site": name,
        "lines": [{"in": number, **line} for number, line in found.told.items()],
        "past": points,
        "codes": {code: dataclasses.asdict(CODES[code]) for code in codes if code in CODES},
    }
