"""Turns hints that a vhost may be stale into reloads, and slow suspicion into a last net.

One thread, ``van-reloader``, owns everything here. Others only put something on its queue: the
watcher the key that may be stale, a load its slot when it has ended, a lease its retirement. It
loads nothing itself, so that a vhost whose import hangs delays no other.
"""

from __future__ import annotations

import enum
import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from .cache import AppCache, Slot
from .errors import HookFailed
from .loader import Loader, Missing
from .loads import Loads, say_late
from .release import Answer, Release, State
from .retiring import Retirement, Retiring
from .version import Version

log = logging.getLogger(__name__)

# An edit in place is taken after this many times ``settle`` although it goes on.
_PATIENCE = 10
# Vhosts that the sweep looks at between two looks at the queue, and the most of its time that it
# may take: with many vhosts a sweep starts later than ``sweep_interval`` says.
_SWEEP_STEP = 20
_SWEEP_SHARE = 0.0005
# Background loads at a time. More only take the processor from the requests.
_PARALLEL = 4


class Why(enum.Enum):
    """Why the reloader looks at a vhost."""

    HINT = "the watcher reported it"
    AGAIN = "a load has ended"
    SWEEP = "it is its turn"


@dataclass(slots=True)
class Pending:
    """A change that was seen and is not taken yet."""

    slot: Slot
    first: float  # monotonic
    due: float  # monotonic
    seen: State | None  # None: the vhost is gone
    why: Why  # of the look that found it; HINT as soon as there was one


class Reloader:
    """Compares versions and starts reloads."""

    def __init__(
        self,
        cache: AppCache,
        loader: Loader,
        loads: Loads,
        *,
        settle: float,
        sweep_interval: float,
        grace_period: float,
        blind_sweep: bool,
    ) -> None:
        self._cache = cache
        self._loader = loader
        self._loads = loads
        self._settle = settle
        self._sweep_interval = sweep_interval
        self._blind_sweep = blind_sweep  # the sweep is how changes are found: no warning then
        self._queue: queue.SimpleQueue[str | Slot | Retirement | None] = queue.SimpleQueue()
        self._retiring = Retiring(grace_period, self._queue.put)
        self._pending: dict[str, Pending] = {}
        self._complained: dict[str, str] = {}  # watch key -> what its hook raised last
        self._sweep: Iterator[Slot] | None = None
        self._sweep_due = time.monotonic() + sweep_interval
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
        self._thread.join(timeout)
        self._drain()
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
            try:
                self._wait()
                self._act()
            except Exception:
                log.exception("VAN009: the reloader met an unexpected error and goes on")

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
            if isinstance(item, Retirement):
                self._retiring.take(item)
            elif isinstance(item, Slot):
                self._look(item, Why.AGAIN)
            elif item is not None:
                self._hint(item)

    def _drain(self) -> None:
        while not self._queue.empty():
            item = self._queue.get()
            if isinstance(item, Retirement):
                self._retiring.take(item)

    def _next_due(self) -> float | None:
        times = [pending.due for pending in self._pending.values()]
        times += [load.deadline for load in self._loads.running.copy() if not load.said_late]
        grace = self._retiring.next_deadline()
        if grace is not None:
            times.append(grace)
        if self._sweep_interval > 0:
            times.append(self._sweep_due)
        return min(times, default=None)

    def _act(self) -> None:
        now = time.monotonic()
        for pending in [each for each in self._pending.values() if each.due <= now]:
            self._look(pending.slot, pending.why)
        for load in self._loads.running.copy():
            if load.late and not load.said_late:
                load.said_late = True
                say_late(load, self._loader.wsgi_path(load.slot.path))
        self._retiring.expire(now)
        if self._sweep_interval > 0 and self._sweep_due <= now:
            self._sweep_step(now)

    def _hint(self, key: str) -> None:
        slot = self._cache.watched(key)
        if slot is None:
            return
        pending = self._pending.get(key)
        if pending is None:
            self._look(slot, Why.HINT)
            return
        # A writer that never pauses must cost one cheap look per event, not a scan of its tree.
        now = time.monotonic()
        pending.why = Why.HINT
        pending.due = min(now + self._settle, pending.first + _PATIENCE * self._settle)
        if pending.seen is None or self._loader.leads_to(slot.path) != pending.seen.directory:
            self._look(slot, Why.HINT)

    def _look(self, slot: Slot, why: Why) -> None:
        """Compare what is there with what was loaded, and note or take the change."""
        load = slot.loading
        if load is not None and not load.late:
            return  # its end puts the slot back on the queue
        try:
            state = self._loader.state(slot.path, slot.files)
        except Missing:
            state = None
        except HookFailed as error:
            self._complain(slot, error)
            return
        if slot.unknown:
            if state is not None:
                self._cache.reset(slot)
            return
        if slot.release is None and load is None:
            return  # the next request loads it
        known = slot.state if load is None else load.state
        if state is not None and known is not None and self._unchanged(slot, known, state, why):
            self._pending.pop(slot.watch_key, None)
            return
        self._changed(slot, known, state, why)

    def _unchanged(self, slot: Slot, known: State, state: State, why: Why) -> bool:
        """Whether there is nothing to load.

        With a hint a moved mtime of the directory is a ``touch``: watchers report no ignored
        names. Without, it may be bytecode that our own load wrote, and equality leaves it out.
        """
        if slot.loading is not None:  # one that is late
            return known.same_release(state)
        touched = why is Why.HINT and known.touched_by(state)
        if known == state and not touched:
            self._cache.rebase(slot, known, state)
            return True
        return not touched and self._rolled_back(slot, known, state)

    def _rolled_back(self, slot: Slot, known: State, state: State) -> bool:
        """After a failed swap: whether the link is back at the release that went on serving."""
        release = slot.release
        if not isinstance(release, Release) or known.directory == release.state.directory:
            return False
        if not release.state.same_release(state):
            return False
        self._cache.settle(slot, state)
        log.info("%s: back to %s, which went on serving", slot.host, state.directory)
        return True

    def _changed(self, slot: Slot, known: State | None, state: State | None, why: Why) -> None:
        now = time.monotonic()
        key = slot.watch_key
        pending = self._pending.get(key)
        if pending is None:
            pending = Pending(slot, now, now + self._settle, state, why)
            self._pending[key] = pending
        last = pending.first + _PATIENCE * self._settle
        if pending.due <= now < last:
            pending.due = min(now + self._restless(pending.seen, state), last)
        pending.seen = state
        swap = state is not None and known is not None and state.directory != known.directory
        if pending.due <= now or (swap and pending.why is not Why.SWEEP):
            self._take(pending)

    def _restless(self, seen: State | None, state: State | None) -> float:
        """Return the seconds for which ``state`` must still be left alone.

        A file that is being written sends no event before it is closed, but its ctime moves.
        """
        if state is not None and isinstance(state.version, Version):
            age = time.time() - state.version.changed / 1e9
            return self._settle - age if 0 <= age < self._settle else 0.0
        return 0.0 if state == seen else self._settle

    def _take(self, pending: Pending) -> None:
        slot = pending.slot
        under_way = sum(not load.late for load in self._loads.running.copy())
        if pending.seen is not None and under_way >= _PARALLEL:
            pending.due = time.monotonic() + 0.02
            return
        self._pending.pop(slot.watch_key, None)
        self._complained.pop(slot.watch_key, None)
        if pending.why is Why.SWEEP and not self._blind_sweep:
            log.warning(
                "%s: VAN024: the sweep found a change in %s that no event announced; if this"
                ' recurs, set watch="polling" and report it',
                slot.host,
                self._loader.wsgi_path(slot.path),
            )
        if pending.seen is None:
            if slot.loading is None:
                log.info("%s: unloaded: %s is gone", slot.host, self._loader.wsgi_path(slot.path))
                self._loads.unknown(slot)
            return
        if isinstance(slot.release, Answer):
            self._cache.reset(slot)  # requests wait for the new attempt from here on
        self._loads.again(slot)

    def _complain(self, slot: Slot, error: HookFailed) -> None:
        if self._complained.get(slot.watch_key) != str(error):
            self._complained[slot.watch_key] = str(error)
            log.error("%s: %s; nothing is reloaded until it answers", slot.host, error)
        self._pending.pop(slot.watch_key, None)

    def _sweep_step(self, now: float) -> None:
        if self._sweep is None:
            self._sweep, self._sweep_cost = iter(self._cache), 0.0
        slots = list(islice(self._sweep, _SWEEP_STEP))
        for slot in slots:
            if isinstance(slot.release, Release) and slot.watch_key not in self._pending:
                self._sweep_one(slot)
        self._sweep_cost += time.monotonic() - now
        if slots:
            self._sweep_due = now + 0.01
            return
        self._sweep = None
        self._sweep_due = now + max(self._sweep_interval, self._sweep_cost / _SWEEP_SHARE)

    def _sweep_one(self, slot: Slot) -> None:
        """Look at one vhost for what no event announced.

        A touch alone does not count: an ignored file that came and went looks the same.
        """
        known = slot.state
        if not self._blind_sweep and known is not None and isinstance(known.version, Version):
            try:
                state = self._loader.state(slot.path, slot.files)
            except (Missing, HookFailed):
                state = None
            version = None if state is None else state.version
            if isinstance(version, Version) and known.version.same_code(version):
                return
        self._look(slot, Why.SWEEP)
