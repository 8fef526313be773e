"""What a site has installed: distributions, and extension modules that belong to none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.reading import missing_or_readable, read

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
class Distribution:
    """``compiled``: its wheel says so, or it carries an extension module."""

    name: str
    version: str
    compiled: bool


@dataclass(frozen=True, slots=True)
class Installed:
    """``extensions``: the modules that belong to no distribution, each by a path that tells which.

    ``whole`` is False where the site has more entries than are looked at.
    """

    distributions: tuple[Distribution, ...]
    extensions: tuple[str, ...]
    whole: bool


def find(site_packages: Iterable[str], directory: str) -> Installed:
    """Look through the site-packages directories and the wsgi directory of a site.

    It reads every ``.pth`` file, so that those which Python's site module reads afterwards are
    known to be small regular files. Raises errors.UnfitFile and errors.Unreadable.
    """
    search, whole = _Search(), True
    try:
        for packages in site_packages:
            search.packages(packages)
        search.extensions(directory)
    except _Exhausted:
        whole = False
    distributions = sorted(search.distributions, key=lambda each: (each.name, each.version))
    return Installed(tuple(distributions), tuple(sorted(search.loose)), whole)


class _Exhausted(Exception):
    """The site has more to look at than anybody waits for."""


class _Search:
    """One look at one site, with what it may still cost."""

    def __init__(self) -> None:
        self.distributions: set[Distribution] = set()
        self.loose: set[str] = set()
        self._entries = ENTRIES
        self._bytes = _RECORDS_SIZE

    def packages(self, site_packages: str) -> None:
        """Look through one site-packages directory."""
        names: list[str] = []
        with missing_or_readable(site_packages):
            names = sorted(entry.name for entry in self._scan(site_packages))
        recorded = {"__pycache__"}
        for name in names:
            if name.endswith(".dist-info"):
                record = self._record(os.path.join(site_packages, name))
                recorded.add(name)
                recorded.update(found[1] for found in _TOP_LEVEL.finditer(record))
                self._distribution(os.path.join(site_packages, name), record)
        for name in names:  # what no RECORD speaks of: eggs, checkouts on a .pth line, copied files
            path = os.path.join(site_packages, name)
            if name.endswith(".pth"):
                self._by_pth(path)
            elif name not in recorded:
                self.extensions(path)

    def extensions(self, path: str) -> None:
        """Look for extension modules at or below ``path``; ignored names are not entered."""
        if not os.path.isdir(path):
            if path.endswith(".so"):
                self.loose.add(os.path.basename(path))
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
                        self.loose.add(os.path.relpath(entry.path, above))
            except OSError:
                continue  # gone meanwhile, or not for us to read, as the import would find it

    def _record(self, info: str) -> str:
        record = read(os.path.join(info, "RECORD"), _RECORD_SIZE) or ""
        self._bytes -= len(record)
        if self._bytes < 0:
            raise _Exhausted
        return record

    def _distribution(self, info: str, record: str) -> None:
        wheel = read(os.path.join(info, "WHEEL"), _WHEEL_SIZE) or ""
        compiled = bool(_COMPILED_WHEEL.search(wheel) or _COMPILED_FILE.search(record))
        name, _, version = os.path.basename(info).removesuffix(".dist-info").partition("-")
        self.distributions.add(Distribution(name, version, compiled))

    def _by_pth(self, path: str) -> None:
        for line in (read(path, _PTH_SIZE) or "").splitlines():
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                target = os.path.normpath(os.path.join(path, os.pardir, line.strip()))
                if os.path.isdir(target):
                    self.extensions(target)

    def _scan(self, directory: str) -> Iterator[os.DirEntry[str]]:
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries -= 1
                if self._entries < 0:
                    raise _Exhausted
                yield entry
