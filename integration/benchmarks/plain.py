"""What one writes with watchdog and without us: a schedule per vhost, reload when it reports."""

from __future__ import annotations

import os
import runpy
import threading
from collections.abc import Callable
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer


class _Handler(FileSystemEventHandler):
    def __init__(self, changed: Callable[[str], None]) -> None:
        self.changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):  # what loading does itself
            for path in (event.src_path, event.dest_path):
                self.changed(os.fsdecode(path))


class Router:
    """``_lock`` guards both dictionaries."""

    def __init__(self, base_path: str) -> None:
        self._base = base_path
        self._lock = threading.Lock()
        self._applications: dict[str, Any] = {}
        self._watches: dict[str, Any] = {}
        self._observer = Observer()
        self._observer.start()
        self._observer.schedule(
            _Handler(lambda path: self._stale(os.path.basename(path))), base_path
        )

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        host = environ["HTTP_HOST"]
        application = self._applications.get(host) or self._load(host)
        return application(environ, start_response)

    def shutdown(self) -> None:
        self._observer.stop()
        self._observer.join()

    def _load(self, host: str) -> Any:
        with self._lock:
            if host not in self._applications:
                directory = os.path.realpath(f"{self._base}/{host}/wsgi")
                old = self._watches.pop(host, None)
                self._watches[host] = self._observer.schedule(
                    _Handler(lambda path: self._stale(host)), directory, recursive=True
                )
                if old is not None and old != self._watches[host]:
                    self._observer.unschedule(old)
                self._applications[host] = runpy.run_path(f"{directory}/app.py")["app"]
            return self._applications[host]

    def _stale(self, host: str) -> None:
        self._applications.pop(host, None)
