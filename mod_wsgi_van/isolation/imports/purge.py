"""Make what all releases share forget a retired one.

Releases retire in threads of their own, many at once, while others load. So every step here takes
a copy of a table before it looks through it, and removes what another thread may have removed.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import gc
import linecache
import sys
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.private_sys import forget_limit
from mod_wsgi_van.isolation.imports.system import MARK, System

Report = Callable[[str], None]


def purge(system: System, report: Report) -> None:
    """Undo what code of the release registered; ``report`` logs the exception being handled."""
    for forget in (_codecs, _callbacks, _prototypes, _lines, forget_limit):
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


def _codecs(system: System) -> None:
    """``codecs.register``; what was found there is forgotten with it."""
    while system.codecs:
        system.purged.append(system.codecs.pop())
        codecs.unregister(system.purged[-1])
    system.error_handlers.clear()


def _callbacks(system: System) -> None:
    """``gc.callbacks``."""
    for callback in list(gc.callbacks):
        if owned(system, callback):
            with contextlib.suppress(ValueError):
                gc.callbacks.remove(callback)
                system.purged.append(callback)


def _prototypes(system: System) -> None:
    """Up to Python 3.12 the collector does not see what the type of a C function refers to.

    What stands there of ctypes itself must not lead to the release.
    """
    ctypes = dict.get(system.modules, "ctypes")
    if ctypes is not None and sys.version_info < (3, 13):
        for name in ("py_object", "c_char_p", "c_wchar_p"):
            kind = vars(ctypes).get(name)
            if isinstance(kind, type) and "__repr__" in vars(kind):
                del kind.__repr__


def _lines(system: System) -> None:
    """The daemon's ``linecache`` keeps the source of what stood in a traceback that it wrote."""
    files = {getattr(module, "__file__", None) for module in list(system.modules.values())}
    for name in list(linecache.cache):
        if name in files:
            linecache.cache.pop(name, None)
