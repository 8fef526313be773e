"""Processes of a daemon that are none: they answer what a test lets them answer."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

Line = dict[str, Any]


class FakeProcess:
    """Listens below ``directory`` as the process ``pid``; ``sites`` may be changed at any time."""

    def __init__(self, directory: Path, pid: int, **told: Any) -> None:
        self.path = directory / str(pid)
        self.told: Line = process(pid, **told)
        self.sites: dict[str, Line] = {}
        self.answers = threading.Event()  # while it is set
        self.answers.set()
        self._server = ThreadingUnixStreamServer(str(self.path), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _handler(self) -> type[StreamRequestHandler]:
        fake = self

        class Answering(StreamRequestHandler):
            def handle(self) -> None:
                assert json.loads(self.rfile.readline())["ask"] == "status"
                fake.answers.wait(10)
                lines = [{"process": fake.told}, *fake.sites.values()]
                self.wfile.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

        return Answering

    def site(self, name: str, **told: Any) -> None:
        """Change a site, or add one that is loaded."""
        self.sites = {**self.sites, name: {**self.sites.get(name, site(name)), **told}}

    def end(self) -> None:
        """As a process ends: its socket is gone."""
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.path.unlink()


def process(pid: int, **told: Any) -> Line:
    return {
        "pid": pid,
        "started": 1_790_000_000.0 + pid,
        "version": "2.0.0",
        "python": "3.11.2",
        "server": "mod_wsgi 5.0.2",
        "process_group": "mod_wsgi_van",
        "base_path": "/var/www",
        "threads": 32,
        "busy_threads": 1,
        "watch": "inotify",
        "draining": False,
        "private_bytes": 48_000_000,
        "events": {},
        **told,
    }


def site(name: str, **told: Any) -> Line:
    return {
        "site": name,
        "path": f"/var/www/{name}",
        "state": "loaded",
        "release": f"/var/www/.sites/{name}/releases/1",
        "since": 1_790_000_000.0,
        "isolation": "imports",
        "reason": "pure Python, and each library is tested",
        "python": "3.11.2",
        "requests": 0,
        "in_progress": 0,
        "queue": 0,
        "refused": {},
        "last_use": None,
        "workers": [],
        "failure": None,
        "loads": {"count": 1, "seconds": 0.25, "last_seconds": 0.25},
        "reloads": {"ok": 0, "failed": 0},
        "worker_restarts": {},
        **told,
    }
