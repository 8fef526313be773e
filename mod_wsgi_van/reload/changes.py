"""The changes that were seen and are not taken yet: when is a vhost loaded anew?

Owned by the reloader's thread, as everything in it. A swap is taken at once; an edit in place when
the vhost has been left alone for ``settle`` seconds; what nobody can load now, or what a load
changes itself, later.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from mod_wsgi_van.errors import HookFailed
from mod_wsgi_van.files.version import Version
from mod_wsgi_van.reload.attempts import Loads
from mod_wsgi_van.reload.loader import Loader, Missing
from mod_wsgi_van.sites.release import Answer, Release, State
from mod_wsgi_van.sites.table import AppCache, Load, Slot

log = logging.getLogger(__name__)

# An edit in place is taken after this many times ``settle`` although it goes on.
_PATIENCE = 10
# Background loads at a time: more only take the processor from the requests. One that runs for
# longer than the seconds below waits for something, and does not count.
_PARALLEL = 4
_BUSY = 1.0
_NOT_NOW = 0.02  # seconds until it is tried again
# Seconds until a hook that raised is asked again: doubled each time, up to the second.
_RETRY = (1.0, 60.0)
# A change that a load makes itself is taken ever later; said once, when it is the third in a row.
_OWN_CHANGES = 3
_OWN_PAUSES = (0.1, 60.0)  # seconds
_TICK = 20_000_000  # ns by which a file's ctime may lag: the kernel's clock for it is coarse


class Why(enum.Enum):
    """Why the reloader looks at a vhost."""

    HINT = "the watcher reported it"
    AGAIN = "a load has ended, or is late"
    SWEEP = "it is its turn"


@dataclass(slots=True)
class Pending:
    """A change that was seen and is not taken yet."""

    slot: Slot
    first: float  # monotonic
    due: float  # monotonic
    seen: State | None  # None: the vhost is gone
    why: Why  # of the look that found it; HINT as soon as there was one
    own: bool  # made by the load itself


@dataclass(slots=True)
class Failing:
    """A hook that raised for a vhost, and when it is asked again."""

    slot: Slot
    text: str
    pause: float  # seconds
    due: float  # monotonic


class Changes:
    """Looks at vhosts and decides. ``polled`` tells whether a watch key is polled."""

    def __init__(
        self,
        cache: AppCache,
        loader: Loader,
        loads: Loads,
        settle: float,
        polled: Callable[[str], bool],
    ) -> None:
        self._cache = cache
        self._loader = loader
        self._loads = loads
        self._settle = settle
        self._polled = polled
        self._pending: dict[str, Pending] = {}
        self._failing: dict[str, Failing] = {}
        self._own_changes: dict[str, int] = {}  # loads in a row that changed their own files

    def __contains__(self, slot: Slot) -> bool:
        return slot.watch_key in self._pending or slot.watch_key in self._failing

    def next_due(self) -> float | None:
        times = [pending.due for pending in self._pending.values()]
        times += [failing.due for failing in self._failing.values()]
        return min(times, default=None)

    def due(self, now: float) -> list[tuple[Slot, Why]]:
        """Return what to look at now."""
        found, busy = [], self._is_busy()
        for pending in self._pending.values():
            if pending.due <= now and busy and pending.seen is not None:
                pending.due = now + _NOT_NOW
            elif pending.due <= now:
                found.append((pending.slot, pending.why))
        for failing in self._failing.values():
            if failing.due <= now:
                found.append((failing.slot, Why.HINT))
        return found

    def _is_busy(self) -> bool:
        now = time.monotonic()
        running = self._loads.running.copy()
        return sum(now - load.started < _BUSY for load in running) >= _PARALLEL

    def drop(self, slot: Slot) -> None:
        """Forget what is pending for ``slot``."""
        self._pending.pop(slot.watch_key, None)

    def hint(self, key: str) -> None:
        """The watcher says that what it knows under ``key`` may have changed."""
        slot = self._cache.watched(key)
        if slot is None:
            return
        pending = self._pending.get(key)
        if pending is None or pending.own:
            self.look(slot, Why.HINT)
            return
        # A writer that never pauses must cost one cheap look per event, not a scan of its tree.
        now = time.monotonic()
        pending.why = Why.HINT
        pending.due = min(now + self._settle, pending.first + _PATIENCE * self._settle)
        if pending.seen is None or self._loader.leads_to(slot.path) != pending.seen.directory:
            self.look(slot, Why.HINT)

    def look(self, slot: Slot, why: Why) -> None:
        """Compare what is there with what was loaded, and note or take the change."""
        load = slot.loading
        if load is not None and not load.late:
            load.hinted = load.hinted or why is Why.HINT
            self.drop(slot)
            return  # its end, or its being late, puts the slot back on the queue
        if slot.unknown:
            self.drop(slot)
            if self._loader.exists(slot.path):
                self._cache.reset(slot)
            return  # the next request loads it
        try:
            state = self._loader.state(slot.path, slot.files)
        except Missing:
            state = None
        except HookFailed as error:
            self._complain(slot, error)
            return
        self._failing.pop(slot.watch_key, None)
        if load is None and slot.release is None:
            self.drop(slot)
            return  # the next request loads it
        if load is not None and why is not Why.HINT and not _supersedes(load, state):
            self.drop(slot)
            return
        known = slot.state if load is None else load.state
        if state is not None and known is not None and self._unchanged(slot, known, state, why):
            self.drop(slot)
            return
        self._note(slot, known, state, why)

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

    def _note(self, slot: Slot, known: State | None, state: State | None, why: Why) -> None:
        now = time.monotonic()
        swap = state is not None and known is not None and state.directory != known.directory
        pending = self._pending.get(slot.watch_key)
        if pending is None or (pending.own and why is Why.HINT):
            own = self._is_own(slot, state, swap)
            pause = self._own_pause(slot, state) if own and why is not Why.HINT else None
            if pending is None or not own:
                pending = Pending(slot, now, now + (pause or self._settle), state, why, own)
                self._pending[slot.watch_key] = pending
        last = pending.first + _PATIENCE * self._settle
        if pending.due <= now < last:
            pending.due = min(now + self._restless(pending.seen, state), last)
        pending.seen = state
        if pending.due <= now or (swap and pending.why is not Why.SWEEP):
            self._take(pending)

    def _is_own(self, slot: Slot, state: State | None, swap: bool) -> bool:
        """Whether the newest change was made while the vhost was being loaded last."""
        if not swap and _changed_during(slot.took, state):
            return True
        self._own_changes.pop(slot.watch_key, None)
        return False

    def _own_pause(self, slot: Slot, state: State | None) -> float:
        """Return the seconds to wait with a change that a load seems to have made itself.

        An application whose import writes below its wsgi directory would reload for ever.
        """
        key = slot.watch_key
        count = self._own_changes[key] = self._own_changes.get(key, 0) + 1
        if count == _OWN_CHANGES and state is not None and isinstance(state.version, Version):
            log.warning(
                "%s: VAN014: %s below %s changed during each of the last loads; it is reloaded ever"
                " later from now on: if loading it writes that file, have it written elsewhere, or"
                " add its name to watch_ignore",
                slot.host,
                state.version.latest,
                self._loader.wsgi_path(slot.path),
            )
        least, most = max(self._settle, _OWN_PAUSES[0]), _OWN_PAUSES[1]
        return min(least * 2.0 ** min(count - 1, 20), most)

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
        if pending.seen is not None and self._is_busy():
            pending.due = time.monotonic() + _NOT_NOW
            return
        self.drop(slot)
        if pending.why is Why.SWEEP and not self._polled(slot.watch_key):
            log.warning(
                "%s: VAN024: the sweep found a change in %s that no event announced; unless a file"
                ' there is still open for writing: if it recurs, set watch="polling" and report it',
                slot.host,
                self._loader.wsgi_path(slot.path),
            )
        if pending.seen is None:
            if slot.loading is None or slot.loading.late:
                log.info("%s: unloaded: %s is gone", slot.host, self._loader.wsgi_path(slot.path))
                self._own_changes.pop(slot.watch_key, None)
                self._loads.ended(slot, self._loads.forget(slot)[1])
            return
        if isinstance(slot.release, Answer):
            self._cache.reset(slot)  # requests wait for the new attempt from here on
        self._loads.again(slot)

    def _complain(self, slot: Slot, error: HookFailed) -> None:
        """Say so once, and ask again later: what is not known now may be a change."""
        self.drop(slot)
        now = time.monotonic()
        failing = self._failing.get(slot.watch_key)
        if failing is None or failing.text != str(error):
            if isinstance(slot.release, Release):  # else the load that failed has said it
                log.error("%s; nothing is reloaded until it answers", error.of(slot.host))
            failing = Failing(slot, str(error), _RETRY[0], now + _RETRY[0])
            self._failing[slot.watch_key] = failing
        elif failing.due <= now:
            failing.pause = min(2 * failing.pause, _RETRY[1])
            failing.due = now + failing.pause


def _supersedes(load: Load, state: State | None) -> bool:
    """Whether a late load makes room for another one, when no event has asked for it just now.

    What it may have changed itself is no reason, unless an event that was left to its end may
    have been an edit; and that only once, or each load of a hanging import would leave a thread.
    """
    if load.state is not None and state is not None:
        own = _changed_during((load.begun, time.time_ns()), state)
        if not own or state.directory != load.state.directory:
            return True
    return state is None or (load.hinted and not load.supersedes)


def _changed_during(period: tuple[int, int], state: State | None) -> bool:
    """Whether the newest file is of that time, ns since the epoch."""
    version = state.version if state is not None else None
    return isinstance(version, Version) and period[0] - _TICK <= version.changed <= period[1]
