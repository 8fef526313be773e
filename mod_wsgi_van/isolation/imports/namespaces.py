"""The compiled modules of the standard library, as a release sees them.

Where the module allows it (PEP 489), the release has an instance of its own, with its own types and
state. The others exist once in the process; the release sees them through a module object that has
the same functions and types, so that what it replaces there stays its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.fronts import FRONTS
from mod_wsgi_van.isolation.imports.system import System

# Parts of the interpreter, compiled into every Python: its state is theirs.
_INTERPRETER = frozenset(
    {
        "_abc", "_ast", "_codecs", "_collections", "_contextvars", "_functools", "_imp", "_io",
        "_locale", "_operator", "_signal", "_stat", "_string", "_suggestions", "_symtable",
        "_sysconfig", "_thread", "_tokenize", "_tracemalloc", "_types", "_typing", "_warnings",
        "_weakref", "atexit", "errno", "faulthandler", "gc", "itertools", "marshal", "posix",
        "pwd", "time",
    }
)  # fmt: skip
# Those that keep state or types in C variables, up to the version before the one named: found by
# making a second instance of each module of the library. And _asyncio, whose freed iterators of
# futures keep their type up to Python 3.13, and with it the module and its release.
_ONCE = {
    "_asyncio": (3, 14), "_ctypes": (3, 13), "_curses": (3, 14), "_datetime": (4,),
    "_decimal": (3, 13), "_elementtree": (3, 12), "_multiprocessing": (3, 12),
    "_pickle": (3, 12), "_socket": (3, 12), "_sre": (3, 13),
    "_tkinter": (4,), "_zoneinfo": (3, 12), "ossaudiodev": (4,),
}  # fmt: skip


# The interpreter's codecs use the daemon's and raise its errors.
_CODECS = frozenset({"binascii", "zlib"})


def is_shared(name: str) -> bool:
    """Whether there is one of this compiled module in the process."""
    return name in _INTERPRETER or name in _CODECS or sys.version_info < _ONCE.get(name, ())


def create(system: System, spec: Any, make: Callable[[Any], Any]) -> Any:
    """Return the release's module; ``make`` is the function of ``_imp`` that makes another."""
    if not is_shared(spec.name):
        return system.call(make, spec)
    view = ModuleType(spec.name)
    for name, value in vars(internals.load_real(spec.name)).items():
        vars(view)[name] = value.copy() if type(value) in (dict, list) else value
    for name in ("__loader__", "__spec__"):  # importlib sets the release's
        vars(view).pop(name, None)
    return view


def execute(system: System, module: Any, fill: Callable[[Any], int]) -> int:
    """Let ``fill``, a function of ``_imp``, fill a module, and put the private functions in."""
    result: int = system.call(fill, module)  # nothing to do where it is a view
    name = module.__spec__.name  # the C module may have another name for itself
    for front in FRONTS.get(name, ()):
        front(system, vars(module))
    return result
