"""Builds the private import system of one release: its ``sys``, builtins and importlib."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.asking import unasked
from mod_wsgi_van.isolation.imports.extensions import private_imp
from mod_wsgi_van.isolation.imports.importing import make_import
from mod_wsgi_van.isolation.imports.optional import leave_out
from mod_wsgi_van.isolation.imports.private_sys import Modules, private_sys
from mod_wsgi_van.isolation.imports.privates import load_early, prepare
from mod_wsgi_van.isolation.imports.sharing import shares
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.imports.system import System
from mod_wsgi_van.isolation.process.worker import distrust_young_bytecode


def build(source: Source) -> System:
    """An import system that has loaded nothing of the application's yet."""
    modules = Modules()
    try:
        system = System(source.host, source.directory, modules)
        system.sys = private_sys(source, modules)
        _build_importlib(system)
        leave_out(system.importlib.external, source.pure)
        prepare(system)
        system.sys.path_hooks.insert(0, system.import_module("zipimport").zipimporter)
        load_early(system)
    except BaseException:
        table.close(modules)
        raise
    return system


def add_site_packages(system: System, directories: Iterable[str]) -> None:
    """Append them and what their ``.pth`` files name, as the interpreter does at its start."""
    site = system.modules["site"]
    known: set[str] = set()
    for directory in directories:
        system.call(site.addsitedir, directory, known)


def _build_importlib(system: System) -> None:
    private = private_imp(system)
    system.place("sys", system.sys)
    system.place("_imp", private)
    for name in ("_thread", "_weakref", "_warnings", "_io", "marshal", "posix", "time"):
        system.place(name, sys.modules[name])

    def first_import(name: str, *ignored: Any) -> Any:
        """While importlib itself is being made it imports built-in modules only."""
        return system.modules[name]

    system.builtins["__import__"] = first_import
    system.importlib = internals.second_importlib(system.sys, private, system.builtins)
    system.importlib.wrap_load(lambda original: _make_load(system, original))
    distrust_young_bytecode(system.importlib.external.SourceFileLoader)
    system.builtins["__import__"] = make_import(system)


def _make_load(system: System, original: Any) -> Any:
    def load(name: str, import_: Any) -> Any:
        """Called with the release's lock for ``name``, which is not in its table."""
        parent, _, _ = name.rpartition(".")
        if parent and parent not in system.modules:
            import_(parent)
        if not shares(system, name):
            return original(name, import_)
        module = system.modules.get(name)
        if module is None:
            module = unasked(importlib.import_module, name)
            system.place(name, module)
        return module

    return load
