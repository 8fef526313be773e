"""Builds the Python of one release: its ``sys``, builtins and importlib."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import ModuleType, SimpleNamespace
from typing import Any

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import internals, library, monitoring, strays, streams, zones
from mod_wsgi_van.isolation.imports.extensions import private_imp
from mod_wsgi_van.isolation.imports.importing import make_find_and_load, make_import
from mod_wsgi_van.isolation.imports.limits import limits
from mod_wsgi_van.isolation.imports.optional import leave_out
from mod_wsgi_van.isolation.imports.private_sys import Modules, private_sys
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.imports.switches import switches
from mod_wsgi_van.isolation.imports.system import System
from mod_wsgi_van.isolation.process.worker import distrust_young_bytecode

# What Apache provides: every release has the daemon's.
_SERVER = frozenset({"mod_wsgi", "apache"})


def build(source: Source) -> System:
    """A Python that has loaded nothing of the application's yet."""
    modules = Modules()
    try:
        system = System(source.host, source.directory, modules)
        system.environ.update((os.fsencode(k), os.fsencode(v)) for k, v in source.env.items())
        zones.settle(system)
        system.sys = private_sys(source, modules)
        _build_importlib(system, modules)
        leave_out(system.importlib.external, source.pure)
        library.prepare(system)
        streams.prepare(system)
        limits(system)
        switches(system)
        strays.sys_state(system)
        monitoring.prepare(system)
        main = ModuleType("__main__")
        vars(main)["__builtins__"] = system.builtins
        system.place("__main__", main)
    except BaseException:
        table.close(modules)
        raise
    return system


def add_site_packages(system: System, directories: Iterable[str]) -> None:
    """Append them and what their ``.pth`` files name, as the interpreter does at its start.

    The application's directory comes first when all that is done, whatever a line inserts at 0.
    """
    known: set[str] = set()
    found: set[str] = set()
    system.sys.path.remove(system.directory)
    for directory in directories:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        found.update(names)
        if any(name.endswith(".pth") for name in names):  # site.py costs 0.2 MB
            system.call(system.import_module("site").addsitedir, directory, known)
        elif directory not in system.sys.path:
            system.sys.path.append(directory)
    for name in ("sitecustomize", "usercustomize"):
        if found & {name, f"{name}.py"}:
            system.call(getattr(system.import_module("site"), f"exec{name}"))
    system.sys.path.insert(0, system.directory)


def _build_importlib(system: System, modules: Modules) -> None:
    private = private_imp(system)
    system.place("sys", system.sys)
    system.place("_imp", private)

    def first_import(name: str, *ignored: Any) -> Any:
        """While importlib itself is being made it imports built-in modules only."""
        module = system.modules.get(name)
        return sys.modules[name] if module is None else module

    system.builtins["__import__"] = first_import
    system.importlib = internals.second_importlib(system.sys, private, system.builtins)
    system.importlib.wrap("_find_and_load", lambda original: make_find_and_load(system, original))
    system.importlib.wrap("_find_and_load_unlocked", lambda original: _make_load(system, original))
    distrust_young_bytecode(system.importlib.external.SourceFileLoader)
    system.builtins["__import__"] = make_import(system)
    if "__lazy_import__" in system.builtins:
        # Python 3.15 resolves a lazy import with an interpreter-wide lock held: the import of one
        # site would stop those of all. PEP 810 allows to import at once, as -X lazy_imports=none.
        system.builtins["__lazy_import__"] = system.builtins["__import__"]
    modules.load = system.import_module
    for names in (system.builtins, vars(system.sys)):
        names["__loader__"] = system.importlib.bootstrap.BuiltinImporter


def _make_load(system: System, original: Any) -> Any:
    def load(name: str, import_: Any) -> Any:
        """Called with the release's lock for ``name``, which is not in its table."""
        if name in _SERVER and (module := internals.real_modules.get(name)) is not None:
            view = ModuleType(name)  # what a site sets there stays its own
            vars(view).update(vars(module))
            system.place(name, view)
            return view
        if name == "site":
            return _without_main(system, original, name, import_)
        return original(name, import_)

    return load


def _without_main(system: System, load: Any, *arguments: Any) -> Any:
    """site.py runs main() when it is imported, unless the interpreter was started without site:
    that would add the daemon's directories."""
    flags = sys.flags
    names = [name for name in dir(flags) if not name.startswith(("_", "n_", "count", "index"))]
    vars(system.sys)["flags"] = SimpleNamespace(
        **({name: getattr(flags, name) for name in names} | {"no_site": 1})
    )
    try:
        return load(*arguments)
    finally:
        vars(system.sys)["flags"] = flags
