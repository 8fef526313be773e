"""Which modules a release shares with the daemon, and which are its own."""

from __future__ import annotations

import sys

from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.system import System

# Standard modules of which each release has a copy.
PRIVATE = frozenset(
    {
        # import state
        "sys", "builtins", "_imp", "imp", "importlib", "_frozen_importlib",
        "_frozen_importlib_external", "pkgutil", "runpy", "zipimport", "site", "atexit",
        # setuptools brings a distutils of its own through sys.meta_path
        "distutils",
        # paths below sys.prefix
        "sysconfig",
        # the environment, and what hands it to children
        "os", "posixpath", "subprocess", "_posixsubprocess", "multiprocessing",
        # settings
        "logging", "warnings", "sqlite3", "_sqlite3",
        # what threads keep of a release
        "contextvars",
    }
)  # fmt: skip
# The daemon's modules that every vhost may share: the standard library, but for the copies, and
# what Apache's module provides.
_SHARED = frozenset(sys.stdlib_module_names) - PRIVATE | {"mod_wsgi", "apache"}
# A file of the application cannot hide these: the interpreter loads them before any path counts.
_NEVER_HIDDEN = frozenset(sys.builtin_module_names) | {
    "abc", "codecs", "encodings", "genericpath", "io", "importlib", "ntpath", "os", "posixpath",
    "runpy", "site", "stat", "zipimport",
}  # fmt: skip


def shares(system: System, name: str) -> bool:
    """Whether the release gets the daemon's module of this name."""
    top = name.partition(".")[0]
    if top not in _SHARED:
        return False
    if top not in sys.stdlib_module_names and top not in sys.modules:
        return False
    if top in system.modules:
        return system.modules[top] is sys.modules.get(top)
    return not _hidden(system, top)


def provides(system: System, name: str) -> bool:
    """Whether the release has modules of its own under this name, rather than shared ones.

    Copies of standard modules do not count: shared code that imports them gets the real ones.
    """
    top = name.partition(".")[0]
    if top == "__main__":
        return False
    return top not in sys.stdlib_module_names or (top in _SHARED and _hidden(system, top))


def _hidden(system: System, top: str) -> bool:
    """Whether a file of the application hides the standard module ``top``."""
    if top in system.modules:
        return system.modules[top] is not sys.modules.get(top)
    if top in _NEVER_HIDDEN:
        return False
    finder = system.importlib.external.PathFinder
    spec = finder.find_spec(top, _paths_before_stdlib(system))
    return spec is not None and spec.loader is not None


def _paths_before_stdlib(system: System) -> list[str]:
    path: list[str] = system.sys.path
    standard = internals.stdlib_dir
    return path[: path.index(standard)] if standard in path else [system.directory]
