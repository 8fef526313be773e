"""Decides where a vhost's application runs: in this process or in a worker process.

Decided from the environment's files before anything is loaded, so that the same files always give
the same answer, with the reason as text for the log.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mod_wsgi_van.errors import WrongPython
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.tested import RELOADS_FLAT

SETTINGS = ("auto", "imports", "process")

_IGNORE = Ignore()
_RUNNING = sys.version_info[:2]
_VERSION_KEY = re.compile(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", re.MULTILINE)
_SYSTEM_KEY = re.compile(r"^include-system-site-packages\s*=\s*true", re.MULTILINE | re.IGNORECASE)
_LIB = re.compile(r"python(\d+)\.(\d+)t?$")
_COMPILED_WHEEL = re.compile(r"^Root-Is-Purelib:\s*false", re.MULTILINE | re.IGNORECASE)
_COMPILED_FILE = re.compile(r"\.so(?:,|$)", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^([^/,\n]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a vhost runs and why.

    ``compiled`` names what is compiled and not known to reload in the same process: distributions,
    and extension modules that belong to none. ``python`` is the version that the environment was
    made with, None where there is no environment.
    """

    isolation: Literal["imports", "process"]
    reason: str
    compiled: tuple[str, ...]
    python: tuple[int, int] | None


def choose(source: Source, setting: str) -> Choice:
    """Decide for one vhost; ``setting`` is auto, imports or process.

    Raises errors.WrongPython when imports is asked for and the environment is of another Python,
    ValueError for another setting.
    """
    if setting not in SETTINGS:
        raise ValueError(f"isolation must be one of {', '.join(SETTINGS)}, not {setting!r}")
    config = _read(Path(source.venv, "pyvenv.cfg"))
    python = _python_of(source.venv, config)
    if setting == "imports" and python not in (None, _RUNNING):
        raise WrongPython(
            f"the environment {source.venv} of {source.host} was made with Python {_text(python)}"
            f" and this process runs Python {_text(_RUNNING)}: make it again with Python"
            f' {_text(_RUNNING)}, or set isolation to "process" or "auto"'
        )
    compiled = tuple(sorted({*_compiled(source), *_extensions_below(Path(source.directory))}))
    if setting == "imports":
        return Choice("imports", 'isolation is set to "imports"', compiled, python)
    if setting == "process":
        return Choice("process", 'isolation is set to "process"', compiled, python)
    return _decide(python, compiled, includes_system=_SYSTEM_KEY.search(config) is not None)


def _decide(
    python: tuple[int, int] | None, compiled: tuple[str, ...], *, includes_system: bool
) -> Choice:
    if python not in (None, _RUNNING):
        reason = f"its environment is of Python {_text(python)}, this process of {_text(_RUNNING)}"
        return Choice("process", reason, compiled, python)
    if includes_system:
        # What the system's interpreter offers is not on the sys.path of this process.
        reason = "its environment includes the system's site-packages"
        return Choice("process", reason, compiled, python)
    if compiled:
        names = ", ".join(compiled[:5]) + (", ..." if len(compiled) > 5 else "")
        reason = f"compiled and not known to reload in the same process: {names}"
        return Choice("process", reason, compiled, python)
    if python is None:
        return Choice("imports", "it has no environment", compiled, python)
    reason = "its environment is of this Python and pure, or known to reload"
    return Choice("imports", reason, compiled, python)


def _text(python: tuple[int, int] | None) -> str:
    return "{}.{}".format(*python) if python else "?"


def _python_of(venv: str, config: str) -> tuple[int, int] | None:
    """The Python that an environment was made with; its lib directory decides without a config."""
    found = _VERSION_KEY.search(config)
    if found is None:
        lib = sorted(_names(Path(venv, "lib")))
        found = next(filter(None, map(_LIB.match, lib)), None)
    return (int(found[1]), int(found[2])) if found else None


def _compiled(source: Source) -> Iterator[str]:
    for directory in source.site_packages:
        yield from _compiled_below(Path(directory))


def _compiled_below(site_packages: Path) -> Iterator[str]:
    """Name the compiled distributions of one site-packages directory that are not known as flat."""
    recorded = {"__pycache__"}
    names = _names(site_packages)
    for name in names:
        if not name.endswith(".dist-info"):
            continue
        record = _read(site_packages / name / "RECORD")
        recorded.update(_TOP_LEVEL.findall(record), [name])
        wheel = _read(site_packages / name / "WHEEL")
        if _COMPILED_WHEEL.search(wheel) or _COMPILED_FILE.search(record):
            distribution, _, version = name[: -len(".dist-info")].partition("-")
            if _canonical(distribution) not in RELOADS_FLAT:
                yield f"{distribution} {version}"
    for name in names:  # what no RECORD speaks of: eggs, checkouts on a .pth line, copied files
        path = site_packages / name
        if name.endswith(".pth"):
            yield from _compiled_by_pth(path)
        elif name not in recorded:
            yield from _extensions_below(path)


def _compiled_by_pth(path: Path) -> Iterator[str]:
    for line in _read(path).splitlines():
        target = path.parent / line.strip()
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and target.is_dir():
            yield from _extensions_below(target)


def _extensions_below(path: Path) -> Iterator[str]:
    """The extension modules at or below ``path``; ignored names are not entered."""
    if not path.is_dir():
        if path.name.endswith(".so"):
            yield path.name
        return
    pending = [str(path)]  # no os.walk(): before Python 3.12 it recurses, and trees may be deep
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not _IGNORE(entry.name):
                    pending.append(entry.path)
            elif entry.name.endswith(".so"):
                yield str(Path(entry.path).relative_to(path.parent))


def _canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _read(path: Path) -> str:
    """The text of a file, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
