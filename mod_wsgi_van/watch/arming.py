"""Arms all that one key needs: the chains of its paths, and the trees at their ends.

From the top down, so that whatever changes later gives an event in a directory that is watched
already; and once more where something is watched that was not, for what changed before. Looks at
the file system without a lock, in whatever thread arms.
"""

from __future__ import annotations

import errno
import itertools
import os

from mod_wsgi_van.files.chain import Chain, resolve
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import MOST as MOST_ENTRIES
from mod_wsgi_van.watch import obstacle
from mod_wsgi_van.watch.obstacle import Obstacle
from mod_wsgi_van.watch.table import ENTRIES, TREE, Claims, Table

MOST = 10_000  # directories of a target; more are no code
PATIENCE = 20  # attempts while somebody goes on exchanging what a path leads through

_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class Arming:
    """One arming of one key; used once, by one thread.

    ``obstacle``: the first directory that inotify cannot watch, or does not see all changes of; the
    others are watched all the same. ``unsettled``: no attempt found a path at rest.
    """

    def __init__(self, table: Table, claims: Claims, ignore: Ignore, most: int) -> None:
        self._table = table
        self._claims = claims
        self._ignore = ignore
        self._most = most
        self._seen: set[int] = set()  # the watches of all trees
        self.obstacle: Obstacle | None = None
        self.unsettled = False

    def target(self, target: Target) -> None:
        """Arm a target."""
        end = self._follow(target.path).end
        if target.tree:
            self._tree(end)
        for path in target.trees:
            self._tree(self._follow(path).end)
        for path in target.files:
            if end := self._follow(path).end:
                self._watch(end, ENTRIES)
        for path in target.beside:
            self._follow(path)

    def _tree(self, directory: str) -> None:
        """Arm a directory and all below it, symlinks followed; nothing for a file or ""."""
        pending = [directory] if directory else []
        before = set(self._claims.held)
        while pending:
            where = pending.pop()
            wd = self._watch(where, TREE)
            if wd is None or wd in self._seen:
                continue
            self._seen.add(wd)
            if len(self._seen) > self._most:
                self._note(obstacle.too_large(directory, self._most))
                self._table.unclaim(self._claims, self._claims.held.keys() - before)
                self._watch(directory, TREE)
                return
            for name, link in self._below(where):
                end = self._follow(name, where).end if link else os.path.join(where, name)
                if end:
                    pending.append(end)

    def _below(self, directory: str) -> list[tuple[str, bool]]:
        """Names of the directories and the symlinks in a directory, and whether it is a link."""
        try:
            with os.scandir(directory) as entries:
                return [
                    (entry.name, entry.is_symlink())
                    for entry in itertools.islice(entries, MOST_ENTRIES)
                    if (entry.is_symlink() or entry.is_dir(follow_symlinks=False))
                    and not self._ignore(entry.name)
                ]
        except OSError:
            return []  # deleted meanwhile: its parent is watched

    def _follow(self, path: str, directory: str = "/") -> Chain:
        chain = resolve(path, directory)
        for _ in range(PATIENCE):
            known = self._claims.new
            for hop, name in chain.hops:
                self._watch(hop, name)
            if known == self._claims.new:
                return chain
            before, chain = chain, resolve(path, directory)
            if chain == before:
                return chain
        self.unsettled = True
        return chain

    def _watch(self, directory: str, wanted: str) -> int | None:
        try:
            watch = self._table.claim(self._claims, directory, wanted)
        except OSError as error:
            if error.errno not in _VANISHED:
                self._note(obstacle.no_watch(error, directory))
            return None
        if watch.blind is not None:
            self._note(obstacle.blind(watch.blind, directory))
        return watch.wd

    def _note(self, found: Obstacle) -> None:
        self.obstacle = self.obstacle or found
