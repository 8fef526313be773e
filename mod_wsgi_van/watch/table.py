"""Which keys want what of which watches: the watches of one inotify instance."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.watch import kernel
from mod_wsgi_van.watch.kernel import Event, Inotify

# What a key wants of a watch: one name in it, or one of these, which no file name can be.
TREE = "/**"  # whatever is not ignored
ENTRIES = "/*"  # whatever happens to its direct entries

Claim = tuple[int, str]  # wd and what is wanted of it

_GONE = kernel.IN_IGNORED | kernel.IN_UNMOUNT | kernel.IN_MOVE_SELF
_PATHS = 8  # remembered of one inode; a directory may be renamed for ever


@dataclass(slots=True, eq=False)
class Watch:
    """One watched inode.

    ``paths``: by which it was armed; more than one with bind mounts and renames. ``blind``: the
    file system that it is on, where others can change it unseen.
    """

    wd: int
    paths: tuple[str, ...]
    blind: str | None
    wanted: dict[str, set[str]] = field(default_factory=dict)  # what is wanted -> keys

    def keys(self) -> set[str]:
        return set().union(*tuple(self.wanted.values()))


@dataclass(eq=False, slots=True)
class Claims:
    """What one arming has claimed so far.

    ``gone``: watches that were removed while inotify_add_watch(2) was called, which may have
    returned one of them; no number is given twice.
    """

    key: str
    serial: int
    ignore: Ignore
    held: dict[Claim, None] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    new: int = 0  # how many claims the key did not have before: no event told it of changes there


@dataclass(slots=True, eq=False)
class _Held:
    """What a key holds, and the arming that it comes from."""

    serial: int
    claims: dict[Claim, None]
    ignore: Ignore


class Table:
    """Claims are made by whoever arms a key; the reader asks which keys an event concerns.

    ``_lock`` guards every change but one: the reader takes out what the kernel has removed. Nothing
    is looked up in the file system while the lock is held. The reader never takes it: each of its
    steps is one atomic operation, and what it may miss for that is seen by who arms, who measures
    afterwards.
    """

    def __init__(self, inotify: Inotify, foreign: Callable[[str], str | None]) -> None:
        self._inotify = inotify
        self._foreign = foreign
        self._lock = threading.Lock()
        self._watches: dict[int, Watch] = {}
        self._keys: dict[str, _Held] = {}
        self._under_way: set[Claims] = set()
        self._serial = 0

    def __len__(self) -> int:
        return len(self._watches)

    def keys(self) -> list[str]:
        return list(self._keys)

    def begin(self, key: str, ignore: Ignore) -> Claims:
        """Begin to arm ``key``; ``end`` follows, however it went.

        No event of a name that ``ignore`` tells concerns the key, from the end on.
        """
        with self._lock:
            self._serial += 1
            claims = Claims(key, self._serial, ignore)
            self._keys.setdefault(key, _Held(0, {}, ignore))
            self._under_way.add(claims)
            return claims

    def claim(self, claims: Claims, directory: str, wanted: str) -> Watch:
        """Watch a directory, from now on, for what is ``wanted`` of it; raises OSError.

        May wait for the file system, and so is called without the lock.
        """
        while True:
            claims.gone.clear()
            wd = self._inotify.add(directory)
            known = self._watches.get(wd)
            blind = self._foreign(directory) if known is None else known.blind
            with self._lock:
                watch = self._watches.setdefault(wd, Watch(wd, (directory,), blind))
                if directory not in watch.paths:
                    watch.paths = (*watch.paths, directory)[-_PATHS:]
                keys = watch.wanted.setdefault(wanted, set())
                new = claims.key not in keys
                keys.add(claims.key)
                if wd in claims.gone:  # last: whoever takes the watch out after this finds the key
                    self._watches.pop(wd, None)
                    continue
                claims.new += new
                claims.held[wd, wanted] = None
                return watch

    def unclaim(self, claims: Claims, some: Iterable[Claim]) -> None:
        """Take back some of what was claimed."""
        with self._lock:
            for claim in some:
                del claims.held[claim]
                self._release(claims.key, (claim,))

    def end(self, claims: Claims) -> None:
        """Let go of what the key held before, unless a later arming has ended meanwhile."""
        with self._lock:
            self._under_way.discard(claims)
            held = self._keys.get(claims.key)
            if held is None:  # removed meanwhile
                self._release(claims.key, claims.held)
            elif held.serial > claims.serial:
                held.claims |= claims.held  # the next arming sorts them out
            else:
                kept = set(claims.held)
                for other in self._under_way:  # another thread arms the key too
                    if other.key == claims.key:
                        kept |= other.held.keys()
                self._keys[claims.key] = _Held(claims.serial, claims.held, claims.ignore)
                self._release(claims.key, held.claims.keys() - kept)

    def remove(self, key: str) -> None:
        with self._lock:
            held = self._keys.pop(key, None)
            if held is not None:
                self._release(key, held.claims)

    def _release(self, key: str, claims: Iterable[Claim]) -> None:
        """With the lock held: take claims back; a watch that nobody wants any more goes."""
        for wd, wanted in claims:
            watch = self._watches.get(wd)
            if watch is None:
                continue  # the kernel took it away, or nobody else wanted it
            keys = watch.wanted.get(wanted)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del watch.wanted[wanted]
            if not watch.wanted:
                self._inotify.remove(wd)  # first: no arming is given its number once it was told
                self._drop(wd)

    def _drop(self, wd: int) -> Watch | None:
        for claims in tuple(self._under_way):
            claims.gone.add(wd)
        return self._watches.pop(wd, None)

    def concerned(self, event: Event) -> Iterable[str]:
        """Return the keys that an event is about; from the reader."""
        ended = event.mask & kernel.IN_IGNORED
        watch = self._drop(event.wd) if ended else self._watches.get(event.wd)
        if watch is None:
            return ()  # removed meanwhile
        if event.mask & _GONE:  # its path leads elsewhere now, or nowhere
            return watch.keys()
        wanted = watch.wanted
        keys = (*wanted.get(ENTRIES, ()), *(wanted.get(event.name, ()) if event.name else ()))
        return (*keys, *self._minding(event.name, wanted.get(TREE, ())))

    def _minding(self, name: str, keys: Iterable[str]) -> Iterator[str]:
        """Those of ``keys`` that do not ignore a name."""
        ignores: dict[Ignore, bool] = {}  # most keys share one
        for key in tuple(keys):
            held = self._keys.get(key)
            if held is None:
                continue  # removed meanwhile
            if held.ignore not in ignores:
                ignores[held.ignore] = bool(name) and held.ignore(name)
            if not ignores[held.ignore]:
                yield key

    def mounted(self, points: Iterable[str]) -> set[str]:
        """Return the keys whose paths lead through one of these mount points; from the reader."""
        found: set[str] = set()
        for point in points:
            below = point.rstrip("/") + "/"
            parent, name = os.path.split(point)
            for watch in tuple(self._watches.values()):
                for path in watch.paths:
                    if path == point or path.startswith(below):
                        found |= watch.keys()
                    elif path == parent:
                        found.update(tuple(watch.wanted.get(name, ())))
                        found.update(self._minding(name, watch.wanted.get(TREE, ())))
        return found
