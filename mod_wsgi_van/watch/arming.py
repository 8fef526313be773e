"""Arms all that one key needs: the chains of its paths, and the trees at their ends.

From the top down, so that whatever changes later gives an event in a directory that is watched
already; and once more when a watch was new, for what changed before it was there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from mod_wsgi_van.files.chain import Chain, resolve
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import refusal
from mod_wsgi_van.watch.filesystem import foreign
from mod_wsgi_van.watch.refusal import Refused
from mod_wsgi_van.watch.table import ENTRIES, TREE, Claim, Table

MOST = 10_000  # directories below one path; more are no code, and arming them delays all others
PATIENCE = 20  # attempts while somebody goes on exchanging what a path leads through

Foreign = Callable[[str], str | None]

_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class Arming:
    """One arming of one key; used once, under the watcher's lock.

    ``insist``: whether to go on without what inotify refuses, instead of raising Refused.
    ``foreign``: tells the file system of a directory that others can change unseen.
    """

    def __init__(
        self, table: Table, ignore: Ignore, *, insist: bool, foreign: Foreign = foreign
    ) -> None:
        self._table = table
        self._ignore = ignore
        self._insist = insist
        self._foreign = foreign
        self.claims: dict[Claim, None] = {}
        self.new: list[int] = []  # watches that were not there before
        self.refused: list[Refused] = []  # what was insisted on
        self.unsettled = False  # no attempt found a path at rest: to be armed again
        self.exists = False

    def target(self, target: Target) -> None:
        """Arm a target. Raises Refused; the new watches are the caller's to prune then."""
        chain = self._follow(target.path)
        self.exists = bool(chain.end)
        if target.tree:
            self.tree(chain.end)
        for path in target.trees:
            self.tree(self._follow(path).end)
        for path in target.files:
            end = self._follow(path).end
            wd = self._watch(end) if end else None
            if wd is not None:
                self.claims[wd, ENTRIES] = None

    def grow(self, path: str) -> None:
        """Arm what has appeared at ``path`` within a tree."""
        where, name = os.path.split(path)
        if os.path.islink(path):
            path = self._follow(name, where).end
        self.tree(path)

    def tree(self, directory: str) -> None:
        """Arm a directory and all below it, symlinks followed; nothing for a file or ""."""
        pending = [directory] if directory else []
        before = len(self.claims)
        while pending:
            if len(self.claims) - before > MOST:
                self._refuse(refusal.too_large(directory, MOST))
                return
            where = pending.pop()
            wd = self._watch(where)
            if wd is None or (wd, TREE) in self.claims:
                continue
            self.claims[wd, TREE] = None
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
                    for entry in entries
                    if (entry.is_symlink() or entry.is_dir(follow_symlinks=False))
                    and not self._ignore(entry.name)
                ]
        except OSError:
            return []  # deleted meanwhile: its parent is watched

    def _follow(self, path: str, directory: str = "/") -> Chain:
        chain = resolve(path, directory)
        for _ in range(PATIENCE):
            known = len(self.new)
            claims = self._hops(chain)
            if claims is not None and known == len(self.new):
                break
            before, chain = chain, resolve(path, directory)
            if claims is not None and chain == before:
                break
        else:
            self.unsettled = True
        self.claims.update(claims or {})
        return chain

    def _hops(self, chain: Chain) -> dict[Claim, None] | None:
        """Arm each directory of a chain; None when one is not what it was."""
        wds: dict[str, int | None] = {}
        claims: dict[Claim, None] = {}
        for directory, name in chain.hops:
            if directory not in wds:
                refused = len(self.refused)
                wds[directory] = self._watch(directory)
                if wds[directory] is None and refused == len(self.refused):
                    return None
            wd = wds[directory]
            if wd is not None:
                claims[wd, name] = None
        return claims

    def _watch(self, directory: str) -> int | None:
        try:
            wd, new = self._table.add(directory)
        except OSError as error:
            if error.errno not in _VANISHED:
                self._refuse(refusal.no_watch(error, directory))
            return None
        if new:
            self.new.append(wd)
            file_system = self._foreign(directory)
            if file_system is not None:
                self._refuse(refusal.blind(file_system, directory))
        return wd

    def _refuse(self, refused: Refused) -> None:
        if not self._insist:
            raise refused
        self.refused.append(refused)
