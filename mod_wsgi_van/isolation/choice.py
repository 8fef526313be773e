"""Decides where a vhost's application runs: in this process or in a worker process.

Decided from the environment's files before anything is loaded, so that the same files always give
the same answer, with the reason as text for the log.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from mod_wsgi_van.errors import WrongPython
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.environment import Environment, examine
from mod_wsgi_van.isolation.installed import ENTRIES, Installed, find
from mod_wsgi_van.isolation.tested import against, is_optional, package

_RUNNING = "{}.{}".format(*sys.version_info)
_SAID = 5  # reasons of one kind in a line of the log


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a vhost runs, imports or process, and why.

    ``unfit`` says what of its libraries does not belong in this process and why, one text for each;
    ``pure`` names the packages that belong there without their compiled part.
    """

    isolation: str
    reason: str
    unfit: tuple[str, ...]
    pure: tuple[str, ...]


def choose(
    source: Source, setting: str, *, goes_on: bool = False, restarts: bool = False
) -> Choice:
    """Decide for one vhost; ``setting`` is auto, imports or process.

    ``goes_on``: its releases do not end in this process when they are replaced. ``restarts``: they
    have to end, with all that they hold. Raises
    errors.LoadError where its files do not let it be loaded in any isolation, or imports is asked
    for and the environment is of another Python.
    """
    environment = examine(source.venv)
    installed = find(source.site_packages, source.directory)
    if setting == "imports" and not source.site and (other := _other_python(environment)):
        raise WrongPython(
            f"the environment {source.venv} of {source.host} was made with Python {other} and this"
            f" process runs Python {_RUNNING}: make it again with Python {_RUNNING}, or set"
            ' isolation to "process" or "auto"'
        )
    unfit, pure = _unfit(installed), _pure(installed)
    if source.site:
        return Choice("process", "it runs as the owner of the site (site_user)", unfit, pure)
    if setting != "auto":
        return Choice(setting, f'isolation is set to "{setting}"', unfit, pure)
    if goes_on:
        return Choice("process", "its releases go on after they were replaced", unfit, pure)
    if restarts:
        return Choice("process", 'reload is set to "restart"', unfit, pure)
    if reason := _against_imports(environment, installed, unfit):
        return Choice("process", reason, unfit, pure)
    fits = "its environment is of this Python, and pure or tested"
    return Choice("imports", fits if environment else "it has no environment", (), pure)


def _unfit(installed: Installed) -> tuple[str, ...]:
    """Why which libraries do not belong in this process."""
    reasons = (against(each.name, each.version, each.compiled) for each in installed.distributions)
    loose = (f"{path} is compiled and of no distribution" for path in installed.extensions)
    return (*filter(None, reasons), *loose)


def _pure(installed: Installed) -> tuple[str, ...]:
    compiled = (each for each in installed.distributions if each.compiled)
    return tuple(package(each.name) for each in compiled if is_optional(each.name, each.version))


def _against_imports(
    environment: Environment | None, installed: Installed, unfit: tuple[str, ...]
) -> str:
    """Why a vhost cannot run in this process, "" where it can."""
    if other := _other_python(environment):
        return f"its environment is of Python {other}, this process of {_RUNNING}"
    if environment and environment.includes_system:
        # What the system's interpreter offers is not on the sys.path of this process.
        return "its environment includes the system's site-packages"
    if unfit:
        more = f"; and {len(unfit) - _SAID} more" if len(unfit) > _SAID else ""
        return "; ".join(unfit[:_SAID]) + more
    if not installed.whole:
        return f"more than {ENTRIES:,} files would have to be searched for compiled ones"
    return ""


def _other_python(environment: Environment | None) -> str:
    """The version of an environment that is not of this process's Python, else ""."""
    made = "{}.{}".format(*environment.python) if environment and environment.python else ""
    return "" if made == _RUNNING else made
