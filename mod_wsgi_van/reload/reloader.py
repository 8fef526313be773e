"""The thread that turns hints into reloads, retires what was replaced, and sweeps as a last net.

``van-reloader`` owns everything here. Others only put something on its queue: the watcher the key
that may be stale, a load its slot when it has ended, a lease its retirement. It loads nothing
itself, so that a vhost whose import hangs delays no other.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mod_wsgi_van.errors import HookFailed
from mod_wsgi_van.files.version import Version
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.reload.attempts import Loads, say_late
from mod_wsgi_van.reload.changes import Changes, Why
from mod_wsgi_van.reload.loader import Loader, Missing
from mod_wsgi_van.reload.retiring import Retirement, Retiring
from mod_wsgi_van.sites.release import Release
from mod_wsgi_van.sites.table import AppCache, Slot

log = logging.getLogger(__name__)

# Vhosts that the sweep looks at between two looks at the queue.
_SWEEP_STEP = 20


@dataclass(frozen=True, slots=True)
class Sweep:
    """When the sweep looks at every vhost that is loaded, has failed to load, or is unknown.

    ``interval``: seconds from one to the next, 0 for never. ``share``: the most of its time that
    it may take; with many vhosts the next one starts later. ``asks``: an override of get_version
    decides, which no event tells of, so that the sweep is how it is asked.
    """

    interval: float
    share: float
    asks: bool


class Reloader:
    """Runs the changes, the retirements and the sweep in one thread."""

    def __init__(
        self,
        cache: AppCache,
        loader: Loader,
        loads: Loads,
        changes: Changes,
        sweep: Sweep,
        grace_period: float,
    ) -> None:
        self._cache = cache
        self._loader = loader
        self._loads = loads
        self._changes = changes
        self._sweep = sweep
        self._queue: queue.SimpleQueue[str | Slot | Retirement | None] = queue.SimpleQueue()
        self._retiring = Retiring(grace_period, self._queue.put)
        self._sweeping: Iterator[Slot] | None = None
        self._sweep_due = time.monotonic() + sweep.interval
        self._sweep_cost = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="van-reloader", daemon=True)
        loads.started = self._wake
        loads.ended = self._ended

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread, then retire what waits for it; called once, from any other thread."""
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        while not self._queue.empty():
            item = self._queue.get()
            if isinstance(item, Retirement):
                self._retiring.take(item)
        self._retiring.finish(timeout)

    def stale(self, key: str) -> None:
        """Hint that what the watcher knows under ``key`` may have changed; from any thread."""
        self._queue.put(key)

    def look_again(self, slot: Slot) -> None:
        """Compare ``slot`` without a hint; from any thread."""
        self._queue.put(slot)

    def _wake(self) -> None:
        self._queue.put(None)

    def _ended(self, slot: Slot, replaced: Release | None) -> None:
        """A load has ended: look again for what changed while it ran. From the loading thread."""
        if replaced is not None:
            self._retiring.announce(slot.host, replaced)
        self._queue.put(slot)

    def _run(self) -> None:
        while not self._stopping:
            self._guarded(self._wait)
            self._guarded(self._act)

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> bool:
        """Call ``act``; whatever that raises, SystemExit of a hook included, ends nothing here."""
        try:
            act(*arguments)
        except BaseException:
            log.exception("VAN009: the reloader met an unexpected error and goes on")
            return False
        return True

    def _wait(self) -> None:
        """Wait for the first mark, or for the time of the next thing to do; note all marks."""
        due = self._next_due()
        try:
            timeout = None if due is None else max(0.0, due - time.monotonic())
            items = [self._queue.get(timeout=timeout)]
        except queue.Empty:
            return
        while not self._queue.empty():
            items.append(self._queue.get())
        for item in dict.fromkeys(items):
            self._guarded(self._note, item)

    def _note(self, item: str | Slot | Retirement | None) -> None:
        if isinstance(item, Retirement):
            self._retiring.take(item)
        elif isinstance(item, Slot):
            self._changes.look(item, Why.AGAIN)
        elif item is not None:
            with hurry.during(self):
                self._changes.hint(item)

    def _next_due(self) -> float | None:
        times = [self._changes.next_due(), self._retiring.next_deadline()]
        times += [load.deadline for load in self._loads.running.copy() if not load.said_late]
        if self._sweep.interval > 0:
            times.append(self._sweep_due)
        return min((each for each in times if each is not None), default=None)

    def _act(self) -> None:
        now = time.monotonic()
        for slot, why in self._changes.due(now):
            if not self._guarded(self._changes.look, slot, why):
                self._changes.drop(slot)
        for load in self._loads.running.copy():
            if load.late and not load.said_late:
                load.said_late = True
                hurry.end(load)
                say_late(load, self._loader.wsgi_path(load.slot.path))
                self._queue.put(load.slot)  # hints so far were left to its end
        self._retiring.expire(now)
        if self._sweep.interval > 0 and self._sweep_due <= now:
            self._sweep_step(now)

    def _sweep_step(self, now: float) -> None:
        if self._sweeping is None:
            self._sweeping, self._sweep_cost = iter(self._cache), 0.0
        slots = list(islice(self._sweeping, _SWEEP_STEP))
        for slot in slots:
            known = slot.release is not None or slot.loading is not None
            if known and slot not in self._changes:
                self._guarded(self._sweep_one, slot)
        self._sweep_cost += time.monotonic() - now
        if slots:
            self._sweep_due = now + 0.01
            return
        self._sweeping = None
        self._sweep_due = now + max(self._sweep.interval, self._sweep_cost / self._sweep.share)

    def _sweep_one(self, slot: Slot) -> None:
        """Look at one vhost for what no event announced.

        A touch alone does not count: an ignored file that came and went looks the same.
        """
        known = slot.state
        if not self._sweep.asks and known is not None and isinstance(known.version, Version):
            try:
                state = self._loader.state(slot.path, slot.files)
            except (Missing, HookFailed):
                state = None
            version = None if state is None else state.version
            if isinstance(version, Version) and known.version.same_code(version):
                return
        self._changes.look(slot, Why.SWEEP)
