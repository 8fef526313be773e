"""Every private name of CPython that the private import system stands on.

``check`` runs before the first release is loaded: an interpreter that lacks one of the names is
refused with the remedy, instead of failing somewhere in the middle of an application.
"""

from __future__ import annotations

import _imp
import _thread
import _warnings
import _weakref
import functools
import importlib._bootstrap as real_bootstrap
import sys
import threading
import types
from types import ModuleType
from typing import Any

from ...errors import UnsupportedPython

# The table that C code reads; the import statement of the daemon's own modules, too.
real_modules: dict[str, Any] = sys.modules

# What `importlib._bootstrap` and `importlib._bootstrap_external` are called in sys.modules when
# the interpreter starts; `importlib/__init__.py` looks for them under these names.
BOOTSTRAP = "_frozen_importlib"
EXTERNAL = "_frozen_importlib_external"

# Functions of threading and _thread that start a thread: 3.11 and 3.12 have the first pair.
THREAD_STARTERS = (
    (threading, "_start_new_thread"),
    (threading, "_start_joinable_thread"),
    (_thread, "start_new_thread"),
    (_thread, "start_new"),
    (_thread, "start_joinable_thread"),
)

_NEEDED = (
    (_imp, ("get_frozen_object", "create_dynamic", "acquire_lock", "release_lock", "lock_held")),
    (sys, ("_getframe", "_stdlib_dir", "stdlib_module_names", "builtin_module_names")),
    (real_bootstrap, ("_find_and_load", "_gcd_import", "ModuleSpec")),
    (threading, ("_limbo", "Thread")),
)
_NEEDED_BOOTSTRAP = (
    "__import__",
    "_gcd_import",
    "_find_and_load",
    "_find_and_load_unlocked",
    "_find_spec",
    "_install",
    "_handle_fromlist",
    "BuiltinImporter",
    "FrozenImporter",
)
_NEEDED_EXTERNAL = (
    "_install",
    "_path_stat",
    "cache_from_source",
    "PathFinder",
    "FileFinder",
    "SourceFileLoader",
    "ExtensionFileLoader",
)


def second_importlib(
    private_sys: ModuleType, private_imp: ModuleType, names: dict[str, Any]
) -> tuple[Any, Any]:
    """Another instance of the two modules that are importlib, working on ``private_sys``.

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
    return bootstrap, external


def _execute(name: str, names: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    real = sys.modules[name]
    for attribute in ("__spec__", "__loader__", "__package__", "__file__"):
        if hasattr(real, attribute):
            setattr(module, attribute, getattr(real, attribute))
    vars(module)["__builtins__"] = names
    exec(_imp.get_frozen_object(name), vars(module))
    return module


@functools.cache
def check() -> None:
    """Raise errors.UnsupportedPython when this interpreter is not one that we can work on."""
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in _NEEDED
        for name in names
        if not hasattr(owner, name)
    ]
    if sys.implementation.name != "cpython":
        missing.append("CPython")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        missing.append("the global interpreter lock")
    if not missing:
        missing = _missing_in_importlib()
    if missing:
        raise UnsupportedPython(
            f"private imports need {', '.join(missing)}, which Python "
            f"{sys.version.split()[0]} ({sys.implementation.name}) does not have: use "
            'isolation="process"'
        )


def _missing_in_importlib() -> list[str]:
    external = sys.modules[EXTERNAL]
    wanted = ((real_bootstrap, _NEEDED_BOOTSTRAP), (external, _NEEDED_EXTERNAL))
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in wanted
        for name in names
        if not hasattr(owner, name)
    ]
    for name in (BOOTSTRAP, EXTERNAL):
        try:
            _imp.get_frozen_object(name)
        except ImportError:
            missing.append(f"frozen {name}")
    return missing
