"""Decides where a vhost's application runs: in this process or in a worker process.

Decided from the environment's files before anything is loaded, so that the same files always give
the same answer, with the reason as text for the log.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from mod_wsgi_van.errors import WrongPython
from mod_wsgi_van.isolation.compiled import ENTRIES, Compiled, find
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.environment import Environment, examine

_RUNNING = sys.version_info[:2]


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

    Raises errors.LoadError where its files do not let it be loaded in any isolation, or imports is
    asked for and the environment is of another Python.
    """
    environment = examine(source.venv)
    python = environment.python if environment else None
    if setting == "imports" and python not in (None, _RUNNING):
        raise WrongPython(
            f"the environment {source.venv} of {source.host} was made with Python {_text(python)}"
            f" and this process runs Python {_text(_RUNNING)}: make it again with Python"
            f' {_text(_RUNNING)}, or set isolation to "process" or "auto"'
        )
    compiled = find(source.site_packages, source.directory)
    if setting == "imports":
        return Choice("imports", 'isolation is set to "imports"', compiled.names, python)
    if setting == "process":
        return Choice("process", 'isolation is set to "process"', compiled.names, python)
    against = _against_imports(environment, compiled)
    if against:
        return Choice("process", against, compiled.names, python)
    if environment is None:
        return Choice("imports", "it has no environment", compiled.names, python)
    reason = "its environment is of this Python and pure, or known to reload"
    return Choice("imports", reason, compiled.names, python)


def _against_imports(environment: Environment | None, compiled: Compiled) -> str:
    """Why a vhost cannot run in this process, "" where it can."""
    if environment is not None:
        if environment.python not in (None, _RUNNING):
            made = _text(environment.python)
            return f"its environment is of Python {made}, this process of {_text(_RUNNING)}"
        if environment.includes_system:
            # What the system's interpreter offers is not on the sys.path of this process.
            return "its environment includes the system's site-packages"
    if compiled.names:
        names = ", ".join(compiled.names[:5]) + (", ..." if len(compiled.names) > 5 else "")
        return f"compiled and not known to reload in the same process: {names}"
    if not compiled.whole:
        return f"more than {ENTRIES:,} files would have to be searched for compiled ones"
    return ""


def _text(python: tuple[int, int] | None) -> str:
    return "{}.{}".format(*python) if python else "?"
