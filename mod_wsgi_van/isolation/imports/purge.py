"""Make the shared standard library forget a release.

Releases retire in threads of their own, many at once, while others load. So every step here takes
a copy of a table before it looks through it, and removes what another thread may have removed.
"""

from __future__ import annotations

import copyreg
import functools
import linecache
import re
import sys
import urllib.parse
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.system import MARK, System

Report = Callable[[str], None]


def purge(system: System, report: Report) -> None:
    """Undo what code of the release registered; ``report`` logs the exception being handled."""
    for finalizer, info in list(internals.finalizers.items()):
        try:
            if owned(system, info.func):
                finalizer() if info.atexit else finalizer.detach()  # as the end of a process would
        except BaseException:  # code of the application, and it may exit
            report("a finalizer failed")
    for forget in (_children, _overloads, _reducers, _ctypes, _lines, _caches):
        try:
            forget(system)
        except Exception:
            report(f"cannot forget {forget.__name__.strip('_')}")


def owned(system: System, thing: Any) -> bool:
    """Whether a callable or class was made by code of the release.

    Asks nothing that code of the release would answer: a proxy may raise whatever it likes.
    """
    while type(thing) in (functools.partial, MethodType, staticmethod, classmethod):
        thing = thing.func if type(thing) is functools.partial else thing.__func__
    if type(thing) is FunctionType:
        return _builtins_of(thing) is system.builtins
    kind: type = thing if issubclass(type(thing), type) else type(thing)
    for base in type.mro(kind):
        for member in vars(base).values():
            wrapped = type(member) in (staticmethod, classmethod)
            names = _builtins_of(member.__func__ if wrapped else member)
            if names is not None and MARK in names:  # others may have patched a base further up
                return names is system.builtins
    return _is_defined_by(system, kind)


def _builtins_of(function: Any) -> Any:
    return getattr(function, "__builtins__", None) if type(function) is FunctionType else None


def _is_defined_by(system: System, kind: type) -> bool:
    """For a class without a function of its own."""
    module = dict.get(system.modules, kind.__module__)
    if type(module) is not ModuleType or module is internals.real_modules.get(kind.__module__):
        return False
    return vars(module).get(kind.__qualname__) is kind


def _children(system: System) -> None:
    """The helper process that multiprocessing starts once and ends with its parent."""
    module = dict.get(system.modules, "multiprocessing.resource_tracker")
    tracker: Any = getattr(module, "_resource_tracker", None)
    if getattr(tracker, "_fd", None) is not None:
        tracker._stop()


def _overloads(system: System) -> None:
    """``typing.overload``. What is empty then stays: a module that loads may be filling it."""
    for by_name in list(internals.overloads.values()):
        for by_line in list(by_name.values()):
            for line, function in list(by_line.items()):
                if owned(system, function):
                    by_line.pop(line, None)


def _reducers(system: System) -> None:
    """``copyreg.pickle``."""
    for kind, reducer in list(copyreg.dispatch_table.items()):
        if owned(system, reducer) or owned(system, kind):
            system.purged.append((kind, copyreg.dispatch_table.pop(kind, None)))


def _ctypes(system: System) -> None:
    ctypes = sys.modules.get("ctypes")
    for name in ("_pointer_type_cache", "_c_functype_cache"):
        cache = getattr(ctypes, name, None)
        if type(cache) is not dict:  # from 3.14 on a class keeps its pointer type itself
            continue
        for key in list(cache):
            kinds = key if isinstance(key, tuple) else (key,)
            if any(isinstance(kind, type) and owned(system, kind) for kind in kinds):
                system.purged.append(cache.pop(key, None))


def _lines(system: System) -> None:
    """``linecache`` keeps the source of whatever stood in a traceback."""
    files = {getattr(module, "__file__", None) for module in list(system.modules.values())}
    for name in list(linecache.cache):
        if name in files:
            linecache.cache.pop(name, None)


def _caches(system: System) -> None:
    """Bounded caches that may hold a class of the release; they fill again by themselves."""
    re.purge()
    urllib.parse.clear_cache()  # type: ignore[attr-defined]
    for clear in internals.typing_caches:
        clear()
