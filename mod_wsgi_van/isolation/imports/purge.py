"""Make the shared standard library forget a release."""

from __future__ import annotations

import copyreg
import functools
import linecache
import re
import sys
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import internals

if TYPE_CHECKING:
    from .system import System

Report = Callable[[str], None]


def purge(system: System, report: Report) -> None:
    """Undo what code of the release registered; ``report`` logs the exception being handled."""
    for forget in (_finalizers, _overloads, _reducers, _ctypes, _lines, _caches):
        try:
            forget(system)
        except Exception:
            report(f"cannot forget {forget.__name__.strip('_')}")


def owned(system: System, thing: Any) -> bool:
    """Whether a callable or class was made by code of the release."""
    while True:
        if isinstance(thing, functools.partial):
            thing = thing.func
        elif hasattr(thing, "__func__"):
            thing = thing.__func__
        else:
            break
    if getattr(thing, "__builtins__", None) is system.builtins:
        return True
    kind = thing if isinstance(thing, type) else type(thing)
    for function in vars(kind).values():
        function = getattr(function, "__func__", function)
        if getattr(function, "__builtins__", None) is system.builtins:
            return True
    found: Any = dict.get(system.modules, kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind and found is not getattr(sys.modules.get(kind.__module__), name, None)


def _finalizers(system: System) -> None:
    """``weakref.finalize``: run those of the release, as the end of a process would."""
    for finalizer, info in list(internals.finalizers.items()):
        if owned(system, info.func):
            finalizer() if info.atexit else finalizer.detach()


def _overloads(system: System) -> None:
    for by_name in list(internals.overloads.values()):
        for name, by_line in list(by_name.items()):
            for line, function in list(by_line.items()):
                if owned(system, function):
                    del by_line[line]
            if not by_line:
                del by_name[name]


def _reducers(system: System) -> None:
    """``copyreg.pickle``."""
    for kind, reducer in list(copyreg.dispatch_table.items()):
        if owned(system, reducer) or owned(system, kind):
            del copyreg.dispatch_table[kind]


def _ctypes(system: System) -> None:
    ctypes = sys.modules.get("ctypes")
    for name in ("_pointer_type_cache", "_c_functype_cache"):
        cache: dict[Any, Any] = getattr(ctypes, name, {})
        for key in list(cache):
            kinds = key if isinstance(key, tuple) else (key,)
            if any(isinstance(kind, type) and owned(system, kind) for kind in kinds):
                cache.pop(key, None)


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
