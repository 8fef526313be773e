"""Compiled modules that outlive the release that loaded them.

C code may keep a module object for good: the interpreter has the last one of a file with
single-phase initialisation, and Cython and PyO3 make no second one. What importlib wrote into such
a module leads to the importlib of the release, and from there to all of the release.
"""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader, ModuleSpec
from types import ModuleType

from mod_wsgi_van.isolation.imports.system import System


def untie(system: System) -> None:
    """Let compiled modules have a spec and a loader that belong to no release."""
    private = system.importlib.external.ExtensionFileLoader
    for module in list(system.modules.values()):
        if type(module) is ModuleType and type(vars(module).get("__loader__")) is private:
            name, path = vars(module)["__loader__"].name, vars(module)["__loader__"].path
            loader = ExtensionFileLoader(name, path)
            vars(module).update(__loader__=loader, __spec__=ModuleSpec(name, loader, origin=path))
