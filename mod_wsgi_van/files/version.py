"""The default version of a vhost: what decides the code that would be loaded from it.

Pure functions of the file system; called by ``van-files`` and by the threads that load.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mod_wsgi_van.files.chain import resolve
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target

# An ignored file that changed at most so long before its directory explains the directory's mtime:
# SQLite deletes its journal right after it has written the database beside it.
_EXPLAINED = 100_000_000  # ns
_TRIES = 5  # at a directory in which names come and go all the time
MOST = 100_000  # files and directories of a target: 0.8 s on a local disk; more are no code


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """What ``measure`` found.

    Equal versions run the same code. A directory's mtime moves for ``touch``, which must reload,
    and for a ``__pycache__`` or a journal that comes and goes, which must not; so it counts only
    where no ignored entry explains it. Equality is therefore not transitive: whoever keeps a
    version to compare with replaces it by each newer one that was equal.
    """

    directory: str  # where the path leads, without symlinks
    code: bytes  # digest of all that counts below it and at the further paths
    tree: bytes  # of what counts below it alone
    touched: int  # mtime of the directory, ns
    ignored: bytes  # digest of the names of its ignored entries
    explained: bool  # an ignored file changed when the directory did
    latest: str  # the file with the newest ctime, relative to the directory
    changed: int  # that ctime, ns since the epoch
    further: tuple[tuple[str, bytes], ...] = ()  # the paths besides it, and a digest of each
    device: int = 0  # st_dev of the directory
    partial: bool = False  # there are more than MOST: of each path only its direct entries count

    def same_code(self, other: Version) -> bool:
        """Whether both run the same code, a ``touch`` left out of account."""
        return self.directory == other.directory and self.code == other.code

    def touched_since(self, other: Version) -> bool:
        """Whether the code is the same and the directory's mtime another, for whatever reason."""
        return self.same_code(other) and self.touched != other.touched

    def changed_since(self, other: Version) -> tuple[str, ...]:
        """Return the paths that are not as they were, that of the directory first."""
        mine, its = {self.directory: self.tree, **dict(self.further)}, dict(other.further)
        its[other.directory] = other.tree
        return tuple(path for path, digest in mine.items() if its.get(path) != digest)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self.same_code(other) and (
            self.touched == other.touched
            or self.ignored != other.ignored
            or (self.explained if self.touched > other.touched else other.explained)
        )

    __hash__ = None  # type: ignore[assignment]


def measure(target: Target, ignore: Ignore, most: int = MOST) -> Version:
    """Measure what stands at ``target`` now; a missing further path is a state like any other.

    Where more than ``most`` files stand below its paths, only the direct entries of each count.
    Raises FileNotFoundError, NotADirectoryError or another OSError when ``target.path`` does not
    lead to a readable directory.
    """
    chain = resolve(target.path)
    if not chain.end:
        raise OSError(chain.error, os.strerror(chain.error), target.path)
    directory, ignore = chain.end, ignore.also(target.ignored)
    top = os.stat(directory)
    if not stat.S_ISDIR(top.st_mode):
        raise NotADirectoryError(20, "Not a directory", target.path)
    partial = False
    try:
        rows, latest, further = _rows(target, directory, top, _Walk(ignore, most, deep=True))
    except _TooMany:
        partial = True
        rows, latest, further = _rows(target, directory, top, _Walk(ignore, MOST, deep=False))
    ignored, explained = "", False
    if target.tree:
        for _ in range(_TRIES):  # until its names and its mtime are of the same moment
            ignored, explained = _ignored(directory, ignore, top.st_mtime_ns)
            before, top = top, os.stat(directory)
            if top.st_mtime_ns == before.st_mtime_ns:
                break
    return Version(
        directory=directory,
        code=_digest("\n".join((*rows, *itertools.chain.from_iterable(further.values())))),
        tree=_digest("\n".join(rows)),
        touched=top.st_mtime_ns if target.tree else 0,
        ignored=_digest(ignored),
        explained=explained,
        latest=latest[1],
        changed=latest[0],
        further=tuple((path, _digest("\n".join(found))) for path, found in further.items()),
        device=top.st_dev,
        partial=partial,
    )


class _TooMany(Exception):
    """There are more entries than a version looks at."""


class _Walk:
    """One walk through all trees of a target; what it has counted and seen holds for all of them.

    Without ``deep`` no directory is entered, and the ``most`` first entries are all that count;
    else raises _TooMany after so many.
    """

    def __init__(self, ignore: Ignore, most: int, deep: bool) -> None:
        self._ignore = ignore
        self._left = most
        self._deep = deep
        self._seen: set[tuple[int, int]] = set()

    def below(self, directory: str) -> Iterator[tuple[str, str, int]]:
        """Yield (relative name, row, ctime) of all that counts below ``directory``.

        Symlinks are followed, as the import system does; ``_seen`` keeps a loop of them from going
        on for ever. Of a directory only its being there counts: its times move with ignored
        entries.
        """
        pending = [(directory, "")]
        with contextlib.suppress(OSError):  # scandir says it below
            if not self._first(os.stat(directory)):
                return
        while pending:
            where, prefix = pending.pop()
            try:
                entries = self._entries(where)
            except OSError as error:  # deleted or made unreadable meanwhile: a state like any other
                yield prefix, f"unreadable {error.errno}", 0
                continue
            for entry in entries:
                if self._ignore(entry.name):
                    continue
                name = prefix + entry.name
                try:
                    found = entry.stat()
                except OSError as error:
                    yield name, f"dangling {error.errno}", 0
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    yield name, _row(found), found.st_ctime_ns
                    continue
                yield name, "directory", 0
                if self._deep and self._first(found):
                    pending.append((entry.path, name + "/"))

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        with os.scandir(directory) as found:
            entries = list(itertools.islice(found, self._left + self._deep))
        if len(entries) > self._left:
            raise _TooMany
        self._left -= len(entries)
        return entries

    def _first(self, found: os.stat_result) -> bool:
        """Whether a directory is met for the first time."""
        known = len(self._seen)
        self._seen.add((found.st_dev, found.st_ino))
        return len(self._seen) > known


def _rows(
    target: Target, directory: str, top: os.stat_result, walk: _Walk
) -> tuple[list[str], tuple[int, str], dict[str, list[str]]]:
    """Return a row for all that counts, the newest ctime with its file, and further rows."""
    rows = [f"{top.st_dev} {top.st_ino}"]
    latest = (0, "")
    if target.tree:
        for name, row, ctime in walk.below(directory):
            rows.append(f"{name}\0{row}")
            latest = max(latest, (ctime, name))
    rows.sort()
    return rows, latest, _further(target, walk)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _row(found: os.stat_result) -> str:
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _ignored(directory: str, ignore: Ignore, touched: int) -> tuple[str, bool]:
    """Return the names of the ignored entries, and whether one of them explains ``touched``."""
    names, explained = [], False
    with os.scandir(directory) as entries:
        for entry in itertools.islice(entries, MOST):
            if not ignore(entry.name):
                continue
            names.append(entry.name)
            try:
                if entry.is_file(follow_symlinks=False):
                    changed = entry.stat(follow_symlinks=False).st_ctime_ns
                    explained = explained or 0 <= touched - changed < _EXPLAINED
            except OSError:
                pass
    return "\0".join(sorted(names)), explained


def _further(target: Target, walk: _Walk) -> dict[str, list[str]]:
    """Return the rows of each path besides the directory."""
    found = {path: list(points((path,))) for path in target.files}
    for path in target.trees:
        end = resolve(path).end
        if os.path.isdir(end):
            below = sorted(f"{name}\0{row}" for name, row, _ in walk.below(path))
            found[path] = [f"{path}\0{end}", *below]
        else:
            found[path] = list(points((path,)))
    return found


def points(paths: Iterable[str]) -> tuple[str, ...]:
    """Return a row per path: where it leads and what stands there, or that nothing does.

    A directory's times count here: a new name in it moves them.
    """
    return tuple(_point(path) for path in paths)


def _point(path: str) -> str:
    try:
        found = os.stat(path)  # most are missing, and one call says so
    except OSError as error:
        return f"{path}\0missing {error.errno}"
    chain = resolve(path)
    if chain.error:  # gone meanwhile
        return f"{path}\0missing {chain.error}"
    return f"{path}\0{chain.end}\0{_row(found)}"
