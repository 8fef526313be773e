"""Decides where a vhost's application runs: in this process or in a worker process.

Decided from the environment's files before anything is loaded, so that the same files always give
the same answer, with the reason as text for the log.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from mod_wsgi_van.errors import WrongPython
from mod_wsgi_van.isolation.compiled import ENTRIES, Compiled, find
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.environment import Environment, examine

_RUNNING = "{}.{}".format(*sys.version_info)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a vhost runs, imports or process, and why.

    ``compiled`` names what is compiled and not known to reload in the same process: distributions,
    and extension modules that belong to none.
    """

    isolation: str
    reason: str
    compiled: tuple[str, ...]


def choose(source: Source, setting: str) -> Choice:
    """Decide for one vhost; ``setting`` is auto, imports or process.

    Raises errors.LoadError where its files do not let it be loaded in any isolation, or imports is
    asked for and the environment is of another Python.
    """
    environment = examine(source.venv)
    compiled = find(source.site_packages, source.directory)
    if setting == "imports" and (other := _other_python(environment)):
        raise WrongPython(
            f"the environment {source.venv} of {source.host} was made with Python {other} and this"
            f" process runs Python {_RUNNING}: make it again with Python {_RUNNING}, or set"
            ' isolation to "process" or "auto"'
        )
    if setting != "auto":
        return Choice(setting, f'isolation is set to "{setting}"', compiled.names)
    if against := _against_imports(environment, compiled):
        return Choice("process", against, compiled.names)
    pure = "its environment is of this Python and pure, or known to reload"
    return Choice("imports", pure if environment else "it has no environment", compiled.names)


def _against_imports(environment: Environment | None, compiled: Compiled) -> str:
    """Why a vhost cannot run in this process, "" where it can."""
    if other := _other_python(environment):
        return f"its environment is of Python {other}, this process of {_RUNNING}"
    if environment and environment.includes_system:
        # What the system's interpreter offers is not on the sys.path of this process.
        return "its environment includes the system's site-packages"
    if compiled.names:
        names = ", ".join(compiled.names[:5]) + (", ..." if len(compiled.names) > 5 else "")
        return f"compiled and not known to reload in the same process: {names}"
    if not compiled.whole:
        return f"more than {ENTRIES:,} files would have to be searched for compiled ones"
    return ""


def _other_python(environment: Environment | None) -> str:
    """The version of an environment that is not of this process's Python, else ""."""
    made = "{}.{}".format(*environment.python) if environment and environment.python else ""
    return "" if made == _RUNNING else made
