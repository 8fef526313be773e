"""Which keys are interested in which watches, and what an event means to them.

Belongs to the inotify watcher and is used under its lock, except where it says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.watch import kernel
from mod_wsgi_van.watch.kernel import Event, Inotify

# What a key wants of a watch: one name in it, or one of these, which no file name can be.
TREE = "/**"  # whatever is not ignored, and new directories with all that is in them
ENTRIES = "/*"  # whatever happens to its direct entries

Claim = tuple[int, str]  # wd and what is wanted of it

_GONE = kernel.IN_IGNORED | kernel.IN_UNMOUNT | kernel.IN_MOVE_SELF
_APPEARED = kernel.IN_CREATE | kernel.IN_MOVED_TO


@dataclass(slots=True, eq=False)
class Watch:
    """One watched inode.

    ``paths``: by which it was armed, the latest last; more than one with bind mounts and renames.
    """

    wd: int
    paths: tuple[str, ...]
    wanted: dict[str, set[str]]  # what is wanted -> keys

    def keys(self) -> set[str]:
        return set().union(*self.wanted.values())


@dataclass(slots=True)
class News:
    """What a batch of events means."""

    stale: dict[str, None] = field(default_factory=dict)  # a set that keeps the order
    rearm: dict[str, None] = field(default_factory=dict)  # stale, and its paths may lead elsewhere
    grown: dict[tuple[str, str], None] = field(default_factory=dict)  # key, new path in its tree


class Table:
    """The watches of one inotify instance."""

    def __init__(self, inotify: Inotify, ignore: Ignore) -> None:
        self._inotify = inotify
        self._ignore = ignore
        self._watches: dict[int, Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, directory: str) -> tuple[int, bool]:
        """Watch a directory; return its wd and whether it is a new one. Raises OSError.

        The kernel is asked each time: only it knows which inode the path leads to now.
        """
        wd = self._inotify.add(directory)
        watch = self._watches.get(wd)
        if watch is None:
            self._watches[wd] = Watch(wd, (directory,), {})
            return wd, True
        if watch.paths[-1] != directory:
            others = (path for path in watch.paths if path != directory)
            watch.paths = (*others, directory)
        return wd, False

    def claim(self, key: str, claims: Iterable[Claim]) -> None:
        for wd, wanted in claims:
            self._watches[wd].wanted.setdefault(wanted, set()).add(key)

    def release(self, key: str, claims: Iterable[Claim]) -> None:
        """Take claims back; a watch that nobody wants any more goes."""
        for wd, wanted in claims:
            watch = self._watches.get(wd)
            if watch is None:
                continue  # the kernel took it away, or nobody else wanted it
            keys = watch.wanted.get(wanted)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del watch.wanted[wanted]
            self.prune((wd,))

    def living(self, claims: Iterable[Claim]) -> Iterator[Claim]:
        """Those claims whose watch the kernel has not taken away."""
        return (claim for claim in claims if claim[0] in self._watches)

    def prune(self, wds: Iterable[int]) -> None:
        """Remove those watches that nobody wants."""
        for wd in wds:
            watch = self._watches.get(wd)
            if watch is not None and not watch.wanted:
                del self._watches[wd]
                self._inotify.remove(wd)

    def concerned(self, event: Event) -> tuple[str, ...]:
        """Return the keys that an event is about: what can be told without the lock.

        Each step is one atomic operation. What changes meanwhile, and directories that are gone,
        are left to ``match``, which misses nothing.
        """
        watch = self._watches.get(event.wd)
        if watch is None or event.mask & _GONE:
            return ()
        wanted = watch.wanted
        keys = (*wanted.get(ENTRIES, ()), *(wanted.get(event.name, ()) if event.name else ()))
        if TREE in wanted and not (event.name and self._ignore(event.name)):
            keys += tuple(wanted.get(TREE, ()))
        return keys

    def match(self, event: Event, news: News) -> None:
        """Add to ``news`` what one event means; not for overflows."""
        watch = self._watches.get(event.wd)
        if watch is None:
            return  # removed meanwhile
        if event.mask & _GONE:
            self._gone(watch, event, news)
            return
        if event.name:
            news.rearm.update(dict.fromkeys(watch.wanted.get(event.name, ())))
        news.stale.update(dict.fromkeys(watch.wanted.get(ENTRIES, ())))
        keys = watch.wanted.get(TREE)
        if keys and not (event.name and self._ignore(event.name)):
            self._tree(watch, event, keys, news)

    def _gone(self, watch: Watch, event: Event, news: News) -> None:
        """Its path leads elsewhere now, or nowhere."""
        wanted = watch.wanted
        if event.mask & kernel.IN_IGNORED:
            del self._watches[watch.wd]
            if wanted.keys() == {TREE}:  # deleted within a tree: nothing left to arm in it
                news.stale.update(dict.fromkeys(wanted[TREE]))
                return
        news.rearm.update(dict.fromkeys(watch.keys()))

    def _tree(self, watch: Watch, event: Event, keys: set[str], news: News) -> None:
        news.stale.update(dict.fromkeys(keys))
        if event.mask & _APPEARED:
            path = os.path.join(watch.paths[-1], event.name)
            news.grown.update(dict.fromkeys((key, path) for key in keys))
        elif event.mask & kernel.IN_MOVED_FROM and event.mask & kernel.IN_ISDIR:
            news.rearm.update(dict.fromkeys(keys))  # its watches have to go

    def mounted(self, points: Iterable[str], news: News) -> None:
        """Add to ``news`` the keys whose paths lead through one of these mount points."""
        for point in points:
            below = point.rstrip("/") + "/"
            parent, name = os.path.split(point)
            for watch in self._watches.values():
                for path in watch.paths:
                    if path == point or path.startswith(below):
                        news.rearm.update(dict.fromkeys(watch.keys()))
                    elif path == parent:
                        news.rearm.update(dict.fromkeys(watch.wanted.get(name, ())))
                        if not self._ignore(name):
                            news.rearm.update(dict.fromkeys(watch.wanted.get(TREE, ())))
