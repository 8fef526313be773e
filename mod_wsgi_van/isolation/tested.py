"""What libraries did when they were loaded in one process again and again, and what follows.

``python -m integration.reloads --write`` in a checkout makes the list, ``tested.tsv``. A library
fits in this process when it was loaded, used and retired 60 times, each time beside its
predecessor, and left nothing of a retired release behind: no class that its C code keeps, no
thread, no open file, at most 50 KB a reload, and at most 1.3 times the memory of the tenth. Then
two versions of it answered right side by side from eight threads. It may change nothing that
belongs to the process.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

PATH = Path(__file__).with_name("tested.tsv")
FITS = "fits"
FITS_PURE = "fits without its compiled part"  # which it does as well without

_PACKAGES = {"zope-interface": "zope.interface"}  # where it is called otherwise
_RUNNING = "{}.{}".format(*sys.version_info)
_RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)(?![\d!])")


@dataclass(frozen=True, slots=True)
class Trial:
    """One version of a distribution under one Python.

    ``kb``: private memory for each reload; ``result``: FITS, FITS_PURE, or what the library does,
    as the end of a sentence.
    """

    name: str
    version: str
    python: str
    platform: str
    date: str
    reloads: int
    kb: int
    result: str

    @property
    def fits(self) -> bool:
        return self.result in (FITS, FITS_PURE)

    @property
    def minor(self) -> str:
        """The Python as 3.11."""
        return ".".join(self.python.split(".")[:2])


@functools.cache
def trials() -> tuple[Trial, ...]:
    """All that were made, in the order of names and versions."""
    found = []
    for line in PATH.read_text(encoding="utf-8").splitlines()[1:]:
        name, version, python, platform, date, reloads, kb, result = line.split("\t")
        found.append(Trial(name, version, python, platform, date, int(reloads), int(kb), result))
    return tuple(found)


def write(made: Iterable[Trial]) -> None:
    """Write the list anew."""
    ordered = sorted(made, key=lambda trial: (trial.name, release(trial.version), trial.python))
    rows = [[each.name for each in fields(Trial)], *map(astuple, ordered)]
    PATH.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def canonical(name: str) -> str:
    """The name of a distribution as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, as they are compared; () where there are none."""
    found = _RELEASE.match(version)
    numbers = [int(number) for number in found[1].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def against(
    name: str,
    version: str,
    compiled: bool,
    *,
    python: str = _RUNNING,
    among: Iterable[Trial] | None = None,
) -> str:
    """Why a distribution does not belong in this process, "" where it does.

    Pure Python is welcome unless a trial of that library, of whatever version, says otherwise.
    """
    known = [t for t in (trials() if among is None else among) if t.name == canonical(name)]
    here = [trial for trial in known if trial.minor == python]
    if not compiled:
        unfit = [trial for trial in here or known if not trial.fits]
        return f"{name} {version} {unfit[-1].result}" if unfit else ""
    if not known:
        return f"{name} {version} is compiled and was not tested here"
    if not here:
        return f"{name} {version} was not tested with Python {python}"
    neighbours = _neighbours(here, release(version))
    if not neighbours:
        last = f" to {here[-1].version} were" if len(here) > 1 else " was"
        return f"{name} {version} was not tested here ({here[0].version}{last})"
    unfit = [trial for trial in neighbours if not trial.fits]
    return f"{name} {version} {unfit[0].result}" if unfit else ""


def is_optional(
    name: str, version: str, *, python: str = _RUNNING, among: Iterable[Trial] | None = None
) -> bool:
    """Whether a compiled distribution fits in this process without its compiled part alone."""
    made = trials() if among is None else among
    here = [trial for trial in made if trial.name == canonical(name) and trial.minor == python]
    return any(t.result == FITS_PURE for t in _neighbours(here, release(version)) or here)


def package(name: str) -> str:
    """The package of a distribution whose compiled part is optional."""
    return _PACKAGES.get(canonical(name), canonical(name).replace("-", "_"))


def _neighbours(here: list[Trial], wanted: tuple[int, ...]) -> list[Trial]:
    """The trials of the versions next to the wanted one, or of that one; [] beyond the tested."""
    below = [trial for trial in here if release(trial.version) <= wanted]
    above = [trial for trial in here if release(trial.version) >= wanted]
    return [below[-1], above[0]] if below and above else []
