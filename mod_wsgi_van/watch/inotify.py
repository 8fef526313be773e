"""The watcher that is told: inotify, with one instance and two threads for any number of keys."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import kernel, refusal
from mod_wsgi_van.watch.arming import Arming, Foreign
from mod_wsgi_van.watch.contract import Stale
from mod_wsgi_van.watch.filesystem import foreign, mounts
from mod_wsgi_van.watch.kernel import Event
from mod_wsgi_van.watch.observer import Again, Batch, Item, Mark, Observer, Source
from mod_wsgi_van.watch.refusal import Refused
from mod_wsgi_van.watch.table import Claim, News, Table

log = logging.getLogger(__name__)

_OVERFLOW = (
    "VAN021: the kernel's queue of events overflowed and everything is looked at again; raise"
    " fs.inotify.max_queued_events with sysctl if this recurs"
)


@dataclass(slots=True, eq=False)
class _Armed:
    target: Target
    claims: tuple[Claim, ...] = ()


class InotifyWatcher:
    """Watcher by inotify.

    ``refused(key, target, why)``: takes over a key that inotify refuses later on, from the worker
    thread. Without it the watcher insists: it goes on with what it has and warns once per reason.
    ``make`` opens an inotify instance; ``foreign`` tells a file system that it is blind on.
    """

    name = "inotify"

    def __init__(
        self,
        stale: Stale,
        *,
        ignore: Ignore,
        refused: Callable[[str, Target, Refused], None] | None = None,
        make: Callable[[], kernel.Inotify] = kernel.Inotify,
        foreign: Foreign = foreign,
    ) -> None:
        self._stale = stale
        self._ignore = ignore
        self._refused = refused
        self._make = make
        self._foreign = foreign
        self._begin()

    def _begin(self) -> None:
        # Guards everything below. The reading thread never takes it and uses nothing but the table,
        # in atomic steps; the worker lets it go between two keys and while it reports.
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._keys: dict[str, _Armed] = {}
        self._source: Source | None = None
        self._table: Table | None = None
        self._observer: Observer | None = None
        self._mounts: frozenset[tuple[str, str]] = frozenset()
        self._said: set[str] = set()
        self._stopped = False

    def start(self) -> None:
        self._own()
        with self._lock:
            if self._observer is None and not self._stopped:
                try:
                    self._open()
                except Refused as why:
                    error = WatchError(why.text)
                    error.code = why.code
                    raise error from why

    def _open(self) -> None:
        try:
            source = Source(self._make)
        except OSError as error:
            raise refusal.no_instance(error) from error
        observer = Observer(source, self._mark, self._act)
        self._mounts = mounts()
        try:
            observer.start()
        except RuntimeError as error:
            observer.on_thread_stop()
            source.close()
            raise refusal.no_thread(error) from error
        self._source, self._observer = source, observer
        self._table = Table(source.inotify, self._ignore)
        for key in self._keys:
            observer.inbox.put(Again(key))

    def add(self, key: str, target: Target) -> None:
        why = self.arm(key, target)
        if why is not None and self._refused is not None:
            self._refused(key, target, why)

    def arm(self, key: str, target: Target) -> Refused | None:
        """Do what ``add`` does, and return why where inotify refuses the key."""
        self._own()
        with self._lock:
            if self._stopped:
                return None
            armed = self._keys.get(key)
            if armed is None:
                armed = self._keys[key] = _Armed(target)
            elif armed.target == target:
                return None
            armed.target = target
            if self._observer is None:
                return None
            exists, why = self._arm(key, armed)
            if exists:  # a change may have slipped in before the watches were there
                self._observer.inbox.put(key)
            return why

    def knows(self, key: str) -> bool:
        with self._lock:
            return key in self._keys

    def polled(self, key: str) -> bool:
        return False

    def give_up(self) -> dict[str, Target]:
        """Forget the keys that were added before a start that failed, and return them."""
        with self._lock:
            keys, self._keys = self._keys, {}
        return {key: armed.target for key, armed in keys.items()}

    def remove(self, key: str) -> None:
        self._own()
        with self._lock:
            armed = self._keys.pop(key, None)
            if armed is not None and self._table is not None and self._observer is not None:
                self._table.release(key, armed.claims)

    def stop(self) -> None:
        self._own()
        with self._lock:
            self._stopped = True
            observer, self._observer = self._observer, None
            source, self._source = self._source, None
            # The table stays: freeing it takes as long as all the rest where vhosts are many.
        if observer is not None:
            observer.stop()
            if observer is not threading.current_thread():
                observer.join(timeout=1)
        if source is not None:
            source.close()

    def after_fork(self) -> None:
        source = self._source
        self._begin()
        if source is not None:
            source.close()  # this process's copies; the kernel objects stay the parent's

    def _own(self) -> None:
        if self._pid != os.getpid():
            self.after_fork()

    def _arming(self, table: Table) -> Arming:
        insist = self._refused is None
        return Arming(table, self._ignore, insist=insist, foreign=self._foreign)

    def _arm(self, key: str, armed: _Armed) -> tuple[bool, Refused | None]:
        """Arm a key anew; whether something exists at its path, and why inotify refuses it."""
        assert self._table is not None and self._observer is not None
        arming = self._arming(self._table)
        try:
            arming.target(armed.target)
        except Refused as why:
            del self._keys[key]
            self._table.release(key, armed.claims)
            self._table.prune(arming.new)
            return False, why
        self._table.claim(key, arming.claims)
        self._table.release(key, (claim for claim in armed.claims if claim not in arming.claims))
        self._table.prune(arming.new)
        armed.claims = tuple(arming.claims)
        if arming.unsettled:
            self._observer.inbox.put(Again(key))
        for refused in arming.refused:
            self._say(refused.kind, f"{refused}; what changes there is found by the sweep only")
        return arming.exists, None

    def _mark(self, events: list[Event]) -> set[str]:
        """Reading thread: report at once what the events are about, and return it.

        Another thread may hold the interpreter for long before the worker has armed what is new.
        """
        table = self._table
        if table is None:
            return set()
        marked = {key for event in events for key in table.concerned(event)}
        for key in marked:
            self._report(key)
        return marked

    def _act(self, batch: list[Item]) -> None:
        """Worker thread: find out what the batch means, arm what moved, report.

        What the reader has reported is reported again when new watches were needed: what changed
        before they were there gave no event.
        """
        news = News()
        with self._lock:
            if self._table is None or self._observer is None:
                return
            for item in batch:
                self._take(item, self._table, news)
        for key, path in news.grown:
            if key not in news.rearm and self._grow(key, path, news):
                news.stale[key] = None
        for key in news.rearm:
            if self._rearm(key) or key in news.stale:
                self._report(key)
        for key in news.stale:
            if key not in news.rearm:
                self._report(key)

    def _take(self, item: Item, table: Table, news: News) -> None:
        if isinstance(item, Batch):
            self._match(item, table, news)
        elif isinstance(item, Again):
            news.rearm[item.key] = news.stale[item.key] = None
        elif isinstance(item, str):
            news.stale[item] = None
        elif item is Mark.MOUNTED:
            known, self._mounts = self._mounts, mounts()
            table.mounted({point for _, point in known ^ self._mounts}, news)
            news.stale.update(news.rearm)
        elif item is Mark.LOST:
            self._lost(news)

    def _match(self, item: Batch, table: Table, news: News) -> None:
        """Find out what events mean; what the reader has marked for them is not stale twice."""
        found = News()
        for event in item.events:
            if event.mask & kernel.IN_Q_OVERFLOW:
                self._say("overflow", _OVERFLOW)
                self._lost(found)
            else:
                table.match(event, found)
        news.grown.update(found.grown)
        news.rearm.update(found.rearm)
        for key in (*found.rearm, *found.stale):
            if key not in item.marked:
                news.stale[key] = None

    def _lost(self, news: News) -> None:
        """Events were lost: everything is armed and reported again."""
        for keys in (news.rearm, news.stale):
            keys.update(dict.fromkeys(self._keys))

    def _rearm(self, key: str) -> bool:
        """Whether other watches are needed than before."""
        with self._lock:
            armed = self._keys.get(key)
            if armed is None or self._observer is None:
                return False
            before = armed.claims
            why = self._arm(key, armed)[1]
        if why is not None and self._refused is not None:
            self._refused(key, armed.target, why)
        return why is not None or armed.claims != before

    def _grow(self, key: str, path: str, news: News) -> bool:
        """Whether other watches are needed than before."""
        with self._lock:
            armed = self._keys.get(key)
            if armed is None or self._table is None or self._observer is None:
                return False
            arming = self._arming(self._table)
            # Without those of directories that are gone: a tree may be made and deleted for ever.
            arming.claims.update(dict.fromkeys(self._table.living(armed.claims)))
            known = len(arming.claims)
            try:
                arming.grow(path)
            except Refused:
                self._table.prune(arming.new)
                news.rearm[key] = None  # is refused again, for the whole key
                return False
            self._table.claim(key, arming.claims)
            self._table.prune(arming.new)
            armed.claims = tuple(arming.claims)
            return len(arming.claims) > known

    def _say(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning("%s", text)

    def _report(self, key: str) -> None:
        try:
            self._stale(key)
        except Exception:
            log.exception("%s: reporting a change failed", key)
