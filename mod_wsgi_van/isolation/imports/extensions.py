"""The ``_imp`` of a release: compiled modules of the library, and the application's own.

A module of the application with single-phase initialisation (PEP 489) stores itself in the real
``sys.modules``, where a stand-in for its name belongs: what stood there is put back.

An initialisation that hangs holds up its own release, and for a while another one that loads the
same file. Two cases cannot be prevented: one that keeps the GIL stops the process, and one that
hangs in a constructor of the library keeps the lock of ``dlopen``, so that nobody loads a library.
"""

from __future__ import annotations

import _imp
import functools
import operator
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports import library, namespaces
from mod_wsgi_van.isolation.imports.internals import (
    MISSING,
    frozen_code,
    putting_back,
    real_modules,
)
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.imports.system import System

# Seconds to wait for another release that initialises the same file. Then it is initialised at the
# same time: a C function that never returns must not stop others for ever.
_PATIENCE = 10.0

_files_lock = threading.Lock()  # guards _files
# A lock for each file that is being loaded: held here by those who use it alone.
_files: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def private_imp(system: System) -> ModuleType:
    """The ``_imp`` of one release: an import lock of its own, and the real table kept whole."""
    private = ModuleType("_imp")
    vars(private).update(vars(_imp))

    def create_builtin(spec: Any) -> Any:
        return namespaces.create(system, spec, _imp.create_builtin)

    def exec_builtin(module: Any) -> int:
        return namespaces.execute(system, module, _imp.exec_builtin)

    def create_dynamic(spec: Any, file: Any = None) -> Any:
        if library.contains(spec.origin):
            return namespaces.create(system, spec, _imp.create_dynamic)
        return _create_alone(system, spec)

    def exec_dynamic(module: Any) -> int:
        return namespaces.execute(system, module, _imp.exec_dynamic)

    vars(private).update(
        acquire_lock=system.lock.acquire,
        release_lock=system.lock.release,
        lock_held=system.lock._is_owned,  # type: ignore[attr-defined]
        get_frozen_object=frozen_code,
        create_builtin=create_builtin,
        exec_builtin=exec_builtin,
        create_dynamic=create_dynamic,
        exec_dynamic=exec_dynamic,
    )
    return private


def after_fork() -> None:
    """Other threads may have held the locks when the process forked."""
    global _files_lock, _files
    _files_lock, _files = threading.Lock(), weakref.WeakValueDictionary()


def _create_alone(system: System, spec: Any) -> Any:
    """``_imp.create_dynamic``, one at a time for each file, whichever releases load it."""
    # Its stand-in must be there before: nobody else changes the entry while this runs.
    table.announce(spec.name, system.modules)
    with _files_lock:
        lock = _files.setdefault(spec.origin, threading.RLock())
    mine = lock.acquire(timeout=_PATIENCE)
    try:
        return _create(system, spec)
    finally:
        if mine:
            lock.release()


def _create(system: System, spec: Any) -> Any:
    put_back = putting_back(spec.name, real_modules.get(spec.name, MISSING))
    # Both calls are made from C: no bytecode in between lets another thread see the module. And
    # they are made from a frame of the release: what the module imports meanwhile asks for it.
    # And so are the flags of the release set and put back.
    before = sys.getdlopenflags()
    steps: tuple[Any, ...] = (
        functools.partial(sys.setdlopenflags, system.sys.getdlopenflags()),
        functools.partial(_imp.create_dynamic, spec),
        functools.partial(sys.setdlopenflags, before),
        put_back,
    )
    try:
        return system.call(list, map(operator.call, steps))[1]
    except BaseException:
        sys.setdlopenflags(before)
        raise
