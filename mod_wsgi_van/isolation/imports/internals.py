"""Every private name of CPython that the private import system stands on.

``check`` runs before the first release is loaded: an interpreter that lacks one of the names is
refused with the remedy, instead of failing somewhere in the middle of an application. Until then a
missing name is None here.
"""

from __future__ import annotations

import _imp
import _thread
import _warnings
import _weakref
import datetime
import functools
import gc
import importlib._bootstrap as real_bootstrap
import os
import re
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mod_wsgi_van.errors import UnsupportedPython

# The table that C code reads; the import statement of the daemon's own modules, too.
real_modules: dict[str, Any] = sys.modules
MISSING = object()  # what it shows for a name that it does not have

# What `importlib._bootstrap` and `importlib._bootstrap_external` are called in sys.modules when
# the interpreter starts; `importlib/__init__.py` looks for them under these names.
BOOTSTRAP = "_frozen_importlib"
EXTERNAL = "_frozen_importlib_external"

# Where the code of importlib says that it comes from; warnings and import.c know it by that.
BOOTSTRAP_FILE = "<frozen importlib._bootstrap>"

# The function of the real importlib that is replaced while releases are loaded.
REAL_FIND_AND_LOAD = (real_bootstrap, "_find_and_load")

_NEEDED: tuple[tuple[Any, str], ...] = (
    (_imp, "get_frozen_object acquire_lock release_lock"),
    (_imp, "create_builtin exec_builtin create_dynamic exec_dynamic"),
    (sys, "_getframe _stdlib_dir stdlib_module_names builtin_module_names"),
    (real_bootstrap, "_find_and_load _gcd_import"),
    (os.environ, "_data"),
)
_NEEDED_TWICE = (
    (BOOTSTRAP, "__import__ _gcd_import _find_and_load_unlocked _handle_fromlist _install"),
    (BOOTSTRAP, "_find_and_load _lock_unlock_module"),
    (EXTERNAL, "_install FileFinder SourceLoader SourceFileLoader _get_supported_file_loaders"),
)


@functools.cache
def check() -> None:
    """Raise errors.UnsupportedPython when this interpreter is not one that we can work on."""
    missing = []
    for owner, names in (*_NEEDED, *((sys.modules.get(n), names) for n, names in _NEEDED_TWICE)):
        label = getattr(owner, "__name__", type(owner).__name__)
        missing += [f"{label}.{name}" for name in names.split() if not hasattr(owner, name)]
    if sys.implementation.name != "cpython":
        missing.append("CPython")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        missing.append("the global interpreter lock")
    if missing:
        raise UnsupportedPython(
            f"private imports need {', '.join(missing)}, which Python "
            f"{sys.version.split()[0]} ({sys.implementation.name}) does not have: use "
            'isolation="process"'
        )


def meet_first() -> None:
    """Show C code that keeps what it meets first the daemon's library, which stays anyway.

    It imports that: no thread may fork meanwhile, or the child would wait for the import.
    """
    if sys.version_info < (3, 13):
        datetime.datetime.strptime("", "")  # _datetime keeps _strptime
        re.sub("", r"\g<0>", "")  # _sre keeps a function of re; Python 3.11 keeps none


# The code of a module that is part of the interpreter, made once for all releases.
frozen_code: Any = functools.cache(getattr(_imp, "get_frozen_object", repr))
# Where the standard library is.
stdlib_dir: str = getattr(sys, "_stdlib_dir", None) or os.path.dirname(os.__file__)


def load_real(name: str) -> Any:
    """Import the daemon's own module with the real importlib."""
    return real_bootstrap._gcd_import(name)  # type: ignore[attr-defined]


def putting_back(name: str, shown: Any) -> Callable[[], object]:
    """A function in C that has the real table show ``shown``, or nothing for MISSING."""
    if shown is MISSING:
        return functools.partial(real_modules.pop, name, None)
    return functools.partial(real_modules.__setitem__, name, shown)


def is_initializing(module: Any) -> bool:
    """Whether a thread is executing the module just now."""
    return getattr(getattr(module, "__spec__", None), "_initializing", False)


def change_class(kind: type, methods: dict[str, Any]) -> None:
    """Replace methods of a class that is immutable."""
    (names,) = gc.get_referents(vars(kind))
    names.update(methods)
    # Whoever remembers an attribute knows the class by a number: setting this one changes that.
    abstract = vars(type)["__abstractmethods__"]
    abstract.__set__(kind, ())
    abstract.__delete__(kind)


def environ_data(environ: Any) -> dict[Any, Any]:
    """The dictionary of encoded names and values behind an ``os.environ``."""
    data: dict[Any, Any] = environ._data
    return data


def context_of(thread: threading.Thread) -> Any:
    """The context that all of a thread runs in; None before Python 3.14."""
    return getattr(thread, "_context", None)


def as_importlib(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with frames that count as the interpreter's own.

    ``warnings`` passes over them when it looks for the one who imports.
    """
    code = function.__code__.replace(co_filename=BOOTSTRAP_FILE)
    return types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )


@dataclass(frozen=True)
class Importlib:
    """One more instance of importlib: the functions of it that we call."""

    bootstrap: Any
    external: Any
    import_statement: Callable[..., Any]  # ``__import__`` in Python
    import_module: Callable[[str], Any]  # by absolute name; returns the module itself
    import_items: Callable[..., Any]  # those of a ``from`` list that are submodules

    def wrap(self, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace a function of ``bootstrap``."""
        setattr(self.bootstrap, name, as_importlib(make(getattr(self.bootstrap, name))))


def second_importlib(
    private_sys: ModuleType, private_imp: ModuleType, names: dict[str, Any]
) -> Importlib:
    """Execute the two modules that are importlib once more, to work on ``private_sys``.

    Their code runs with the builtins ``names``, and so does all that they execute: ``exec`` gives
    a namespace the builtins of the frame that calls it.
    """
    modules = private_sys.modules
    bootstrap: Any = _execute(BOOTSTRAP, names)
    # _setup() would give the module a spec as if it had been imported when the interpreter
    # started, and asserts so: show it a plain object, and inject before what it would.
    bootstrap._thread, bootstrap._warnings, bootstrap._weakref = _thread, _warnings, _weakref
    dict.__setitem__(modules, BOOTSTRAP, types.SimpleNamespace())
    bootstrap._install(private_sys, private_imp)
    dict.__setitem__(modules, BOOTSTRAP, bootstrap)
    external: Any = _execute(EXTERNAL, names)
    dict.__setitem__(modules, EXTERNAL, external)
    bootstrap._bootstrap_external = external
    external._install(bootstrap)
    functions = bootstrap.__import__, bootstrap._gcd_import, bootstrap._handle_fromlist
    return Importlib(bootstrap, external, *functions)


def _execute(name: str, names: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    real = sys.modules[name]
    for attribute in ("__spec__", "__loader__", "__package__", "__file__"):
        if hasattr(real, attribute):
            setattr(module, attribute, getattr(real, attribute))
    vars(module)["__builtins__"] = names
    exec(frozen_code(name), vars(module))
    return module
