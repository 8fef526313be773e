"""The watcher that looks: for file systems and systems where inotify is missing or blind.

Its one thread sweeps over all keys every ``update_interval`` seconds. A sweep makes one ``stat``
through the symlinks per key, which shows a swap of any hop, a touch, a creation and a deletion. An
edit in place shows in the measured version only, which costs far more: few keys are all measured in
every sweep, many in rotation, within ``SHARE`` of one core. Measured with three files per vhost and
an interval of 1 s, an edit in place is found within 1 s at 300 vhosts, 2 s at 1,000, 7 s at 3,000
and 100 to 200 s at 10,000; a swap always within one interval.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass

from mod_wsgi_van.files import version
from mod_wsgi_van.files.chain import Identity, identify
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.watch.contract import Stale

log = logging.getLogger(__name__)

SHARE = 0.05
FLOOR = 0.1  # of that for measuring, however long the stats took: the rotation never stands still


@dataclass(slots=True, eq=False)
class Entry:
    key: str
    target: Target
    seen: Identity | None  # None: the path leads nowhere
    measurable: bool
    version: version.Version | int | None = None  # the errno where it could not be measured
    round: int = 0  # the rotation in which it was measured


class Polling:
    """Watcher that needs nothing but ``stat``; ``share`` of one core is what a sweep may take."""

    name = "polling"

    def __init__(
        self, stale: Stale, *, ignore: Ignore, update_interval: float, share: float = SHARE
    ) -> None:
        self._stale = stale
        self._ignore = ignore
        self._interval = update_interval
        self._budget = share * update_interval  # seconds
        self._begin()

    def _begin(self) -> None:
        # Guards the thread's coming and going. The entries need no lock: each step on the
        # dictionary is one atomic operation, and an entry belongs to the polling thread.
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._entries: dict[str, Entry] = {}
        self._round = 1
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the thread.

        Raises RuntimeError when the system has no thread to give; start() may be called again.
        """
        self._own()
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                thread = threading.Thread(target=self._run, name="van-poll", daemon=True)
                thread.start()
                self._thread = thread

    def add(self, key: str, target: Target) -> None:
        self._own()
        if self._stopping.is_set():
            return
        self.put(self.look(key, target))

    def look(self, key: str, target: Target) -> Entry:
        """Look at what stands at ``target`` now, for ``put``; the first half of ``add``."""
        known = self._entries.get(key)
        if known is not None and known.target == target:
            return known
        measurable = target.tree or bool(target.trees or target.files)
        entry = Entry(key, target, identify(target.path), measurable)
        if entry.measurable:
            self._measured_anew(entry)  # what later sweeps compare with
        return entry

    def put(self, entry: Entry) -> None:
        """Sweep over ``entry`` from now on; the second half of ``add``, which takes no time."""
        self._entries[entry.key] = entry

    def knows(self, key: str) -> bool:
        return key in self._entries

    def polled(self, key: str) -> bool:
        return True

    def remove(self, key: str) -> None:
        self._entries.pop(key, None)

    def stop(self) -> None:
        self._own()
        with self._lock:
            self._stopping.set()
            thread, self._thread = self._thread, None
        self._entries.clear()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1)
        hurry.end(self)  # a file server that does not answer may hold the thread for ever

    def after_fork(self) -> None:
        self._begin()

    def _own(self) -> None:
        if self._pid != os.getpid():
            self.after_fork()

    def _run(self) -> None:
        stopping = self._stopping
        while not stopping.wait(self._interval):
            try:
                with hurry.during(self):
                    self.sweep()
            except Exception:
                log.exception("polling failed; it goes on in %s s", self._interval)

    def sweep(self) -> None:
        """Look at every key once and measure as many as the share of the core allows."""
        begin, late = time.thread_time(), time.monotonic() + self._interval
        entries = list(self._entries.values())
        for entry in entries:
            seen = identify(entry.target.path)
            if seen != entry.seen:
                entry.seen = seen
                # Bytecode that appears moves the directory's mtime too: the version knows better.
                if entry.version is None or self._measured_anew(entry):
                    self._report(entry)
            if self._stopping.is_set():
                return
        now = time.thread_time()
        self._rotate(entries, max(begin + self._budget, now + FLOOR * self._budget), late)

    def _rotate(self, entries: list[Entry], until: float, late: float) -> None:
        """Measure one entry at least, and others while there is CPU time left and time."""
        turn = self._round
        due = [entry for entry in entries if entry.round != turn and entry.measurable]
        if not due:
            self._round += 1
            due = [entry for entry in entries if entry.measurable]
        for entry in due:
            entry.round = self._round
            if self._measured_anew(entry):
                self._report(entry)
            if time.thread_time() > until or time.monotonic() > late or self._stopping.is_set():
                return

    def _measured_anew(self, entry: Entry) -> bool:
        """Measure; whether the version is another than the last one, False for the first one."""
        last = entry.version
        try:
            entry.version = version.measure(entry.target, self._ignore)
        except OSError as error:
            entry.version = error.errno or -1
        return last is not None and last != entry.version

    def _report(self, entry: Entry) -> None:
        if self._entries.get(entry.key) is not entry:
            return  # removed or replaced since this sweep began
        try:
            self._stale(entry.key)
        except Exception:
            log.exception("%s: reporting a change failed", entry.key)
