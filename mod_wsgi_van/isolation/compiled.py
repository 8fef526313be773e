"""What a site has compiled: extension modules, and distributions that hold any."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.reading import missing_or_readable, read
from mod_wsgi_van.isolation.tested import RELOADS_FLAT

# Entries of directories that are looked at for one site; an environment of 1,000 distributions has
# about 2,000, since what a RECORD lists is not walked.
ENTRIES = 50_000
# Bytes. RECORD lists the files of a distribution: 3 MB for one of 30,000.
_RECORD_SIZE = 16 * 1024**2
_RECORDS_SIZE = 128 * 1024**2  # of all RECORDs of a site together
_WHEEL_SIZE = 64 * 1024  # WHEEL has some five lines
_PTH_SIZE = 1024**2  # a .pth file has one directory, or one line of code, in most cases

_IGNORE = Ignore()
_COMPILED_WHEEL = re.compile(r"^Root-Is-Purelib:\s*false", re.MULTILINE | re.IGNORECASE)
_COMPILED_FILE = re.compile(r"\.so(?:,|$)", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^([^/,\n]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """``names``: distributions that are not known to reload, and extension modules of none.

    ``whole`` is False where the site has more entries than are looked at.
    """

    names: tuple[str, ...]
    whole: bool


def find(site_packages: Iterable[str], directory: str) -> Compiled:
    """Look through the site-packages directories and the wsgi directory of a site.

    It reads every ``.pth`` file, so that those which Python's site module reads afterwards are
    known to be small regular files. Raises errors.UnfitFile and errors.Unreadable.
    """
    names: set[str] = set()
    search, whole = _Search(), True
    try:
        for packages in site_packages:
            names.update(search.distributions(packages))
        names.update(search.extensions(directory))
    except _Exhausted:
        whole = False
    return Compiled(tuple(sorted(names)), whole)


class _Exhausted(Exception):
    """The site has more to look at than anybody waits for."""


class _Search:
    """One look at one site, with what it may still cost."""

    def __init__(self) -> None:
        self._entries = ENTRIES
        self._bytes = _RECORDS_SIZE

    def distributions(self, site_packages: str) -> Iterator[str]:
        """Name what is compiled in one site-packages directory and not known as flat."""
        names: list[str] = []
        with missing_or_readable(site_packages):
            names = sorted(entry.name for entry in self._scan(site_packages))
        recorded = {"__pycache__"}
        for name in names:
            if name.endswith(".dist-info"):
                record = self._record(os.path.join(site_packages, name))
                recorded.add(name)
                recorded.update(found[1] for found in _TOP_LEVEL.finditer(record))
                yield from self._distribution(os.path.join(site_packages, name), record)
        for name in names:  # what no RECORD speaks of: eggs, checkouts on a .pth line, copied files
            path = os.path.join(site_packages, name)
            if name.endswith(".pth"):
                yield from self._by_pth(path)
            elif name not in recorded:
                yield from self.extensions(path)

    def extensions(self, path: str) -> Iterator[str]:
        """The extension modules at or below ``path``; ignored names are not entered."""
        if not os.path.isdir(path):
            if path.endswith(".so"):
                yield os.path.basename(path)
            return
        above = os.path.dirname(path)
        pending = [path]  # no os.walk(): before Python 3.12 it recurses, and trees may be deep
        while pending:
            try:
                for entry in self._scan(pending.pop()):
                    if entry.is_dir(follow_symlinks=False):
                        if not _IGNORE(entry.name):
                            pending.append(entry.path)
                    elif entry.name.endswith(".so"):
                        yield os.path.relpath(entry.path, above)
            except OSError:
                continue  # gone meanwhile, or not for us to read, as the import would find it

    def _record(self, info: str) -> str:
        record = read(os.path.join(info, "RECORD"), _RECORD_SIZE) or ""
        self._bytes -= len(record)
        if self._bytes < 0:
            raise _Exhausted
        return record

    def _distribution(self, info: str, record: str) -> Iterator[str]:
        wheel = read(os.path.join(info, "WHEEL"), _WHEEL_SIZE) or ""
        if _COMPILED_WHEEL.search(wheel) or _COMPILED_FILE.search(record):
            name = os.path.basename(info).removesuffix(".dist-info")
            distribution, _, version = name.partition("-")
            if re.sub(r"[-_.]+", "-", distribution).lower() not in RELOADS_FLAT:
                yield f"{distribution} {version}"

    def _by_pth(self, path: str) -> Iterator[str]:
        for line in (read(path, _PTH_SIZE) or "").splitlines():
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                target = os.path.normpath(os.path.join(path, os.pardir, line.strip()))
                if os.path.isdir(target):
                    yield from self.extensions(target)

    def _scan(self, directory: str) -> Iterator[os.DirEntry[str]]:
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries -= 1
                if self._entries < 0:
                    raise _Exhausted
                yield entry
