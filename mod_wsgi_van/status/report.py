"""What is told: a line for the process, and one for each site. Never a site's environment.

Called by ``van-status``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from mod_wsgi_van.interpreter import life
from mod_wsgi_van.interpreter.log import events
from mod_wsgi_van.isolation.process.exchange import ProcessInstance
from mod_wsgi_van.isolation.process.handle import Worker
from mod_wsgi_van.isolation.process.pool import Pool
from mod_wsgi_van.reload.attempts import Attempts
from mod_wsgi_van.reload.loader import Prepared
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.release import ALONE, Release
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.status.listener import Line
from mod_wsgi_van.status.machine import cpu_seconds, private_bytes
from mod_wsgi_van.tally import reading

_PYTHON = "{}.{}.{}".format(*sys.version_info)
_REFUSED = "VAN050"
_LOOKED_AT = 200  # sites, before another thread has its turn


class Report:
    """Answers the questions of the socket's clients."""

    def __init__(self, parts: Parts, attempts: Attempts, settings: Settings) -> None:
        self._parts = parts
        self._attempts = attempts
        self._settings = settings
        self._server = life.server()
        self._started = time.time()
        self._draining = False
        self._version = ""  # not known where the package is not installed
        with contextlib.suppress(PackageNotFoundError):
            self._version = version("mod-wsgi-van")
        self._seen: dict[Site, tuple[int, float]] = {}  # requests, and when there was a new one

    def answer(self, question: Line) -> Iterator[Line]:
        asked, name = question.get("ask"), question.get("site")
        if asked == "drain":
            self._draining = True
        elif asked not in ("status", "restart"):
            yield {"error": "the questions are status, restart and drain"}
            return
        yield {"process": self._process()}
        if asked == "drain":
            return
        for site in self._parts.sites:
            if _is_known(site) and (site.host == name or (name is None and asked == "status")):
                restarted = {"restarting": self._restart(site)} if asked == "restart" else {}
                self._look_at(site)
                yield self._site(site) | restarted

    def _restart(self, site: Site) -> bool:
        """Load it again, and so its further names: they have one release."""
        shared = site.release if isinstance(site.release, Release) else None
        names = [each for each in self._parts.sites if shared and each.release is shared]
        begun = [self._attempts.again(each) for each in names or [site]]
        return all(begun)

    def look(self) -> None:
        """Note which sites were used since the last time: a request does not look at the clock."""
        kept = self._seen
        self._seen = {}
        for n, site in enumerate(self._parts.sites):
            if site in kept:
                self._seen[site] = kept[site]
            self._look_at(site)
            if n % _LOOKED_AT == 0:
                time.sleep(0)

    def _look_at(self, site: Site) -> None:
        count = reading(site.requests)
        if count and count != self._seen.get(site, (0, 0.0))[0]:
            self._seen[site] = count, time.time()

    def _process(self) -> Line:
        server = self._server
        return {
            "pid": os.getpid(),
            "started": self._started,
            "version": self._version,
            "python": _PYTHON,
            "server": server.name,
            "process_group": server.process_group,
            "base_path": os.path.abspath(self._settings.base_path),
            "threads": self._settings.server_threads or server.threads,
            "busy_threads": len(server.active),
            "watch": self._parts.watcher.mode,
            "draining": self._draining,
            "private_bytes": private_bytes(os.getpid()),
            "events": events.noted("events"),
        }

    def _site(self, site: Site) -> Line:
        release, tally = site.release, site.tally
        loaded = release if isinstance(release, Release) else None
        prepared = loaded.prepared if loaded is not None else None
        assert prepared is None or isinstance(prepared, Prepared)
        pool = _pool(loaded)
        seen = self._seen.get(site)
        return {
            "site": site.host,
            "path": str(site.path),
            "state": _state(site),
            "release": self._directory(loaded.lease.directory) if loaded else "",
            "since": tally.since if loaded else None,
            "isolation": loaded.isolation if loaded else "",
            "reason": prepared.choice.reason if prepared else "",
            "python": (pool.python if pool else _PYTHON) if loaded else "",
            "requests": reading(site.requests),
            "in_progress": sys.getrefcount(loaded.lease) - ALONE + 1 if loaded else 0,
            "retiring": self._parts.retiring.count(site),
            "queue": pool.waiting if pool else 0,
            "refused": tally.noted("refused"),
            "last_use": seen[1] if seen else None,
            "workers": [_worker(each) for each in pool.workers()] if pool else [],
            "failure": _failure(site),
            "attempts": site.attempts,
            "loads": {
                "count": tally.noted("loads").get("", 0),
                "seconds": round(tally.load_seconds, 3),
                "last_seconds": round(tally.last_load, 3),
            },
            "reloads": {"ok": 0, "failed": 0} | tally.noted("reloads"),
            "worker_restarts": tally.noted("worker_restarts"),
        }

    def _directory(self, wsgi: str) -> str:
        """The directory of a release, where that holds its wsgi directory."""
        return wsgi.removesuffix(f"/{os.path.normpath(self._settings.wsgi_dir)}")


def _is_known(site: Site) -> bool:
    """Clients name hosts that are not there; those are of no interest."""
    return not site.stranger or site.tally.since > 0


def _state(site: Site) -> str:
    failure = site.tally.failure if site.tally.failing else None
    if site.maintenance is not None:
        return "maintenance"
    if isinstance(site.release, Release):
        return "holding" if failure else "loaded"
    if site.attempt is not None:
        return "loading"
    if failure is None:
        return "unloaded"
    return "refused" if failure.code == _REFUSED else "failed"


def _failure(site: Site) -> Line | None:
    failure = site.tally.failure
    if failure is None:
        return None
    return {"code": failure.code, "text": failure.text, "time": failure.time}


def _pool(release: Release | None) -> Pool | None:
    instance = release.instance if release is not None else None
    return instance.pool if isinstance(instance, ProcessInstance) else None


def _worker(worker: Worker) -> Line:
    now, monotonic = time.time(), time.monotonic()
    return {
        "pid": worker.pid,
        "started": now - (monotonic - worker.ready_at),
        "requests": worker.served,
        "cpu_seconds": cpu_seconds(worker.pid),
        "private_bytes": private_bytes(worker.pid),
        "last_use": now - (monotonic - worker.used_at) if worker.used_at else None,
    }
