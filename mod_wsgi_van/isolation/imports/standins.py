"""The real ``sys.modules`` shows one stand-in per name that vhosts loaded.

C code looks modules up there: pickle, the warnings of C functions, whatever Cython compiled. A
stand-in sends every attribute access to the module of the release that is asking. It is no module
itself: CPython's import.c would fill a true module in with the contents of an extension module.

The daemon's own modules of the standard library get stand-ins too while releases are loaded. To the
daemon's code they are what they stand for.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports import library
from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.internals import (
    MISSING,
    is_initializing,
    load_real,
    putting_back,
    real_modules,
)
from mod_wsgi_van.isolation.imports.system import System

# The interpreter itself works with them.
_NEVER = frozenset(
    {"__main__", "sys", "builtins", "importlib", "_frozen_importlib", "_frozen_importlib_external"}
)


class StandIn:
    """Stands in ``sys.modules`` for what each release has loaded under ``name``.

    ``genuine`` is the daemon's own module of that name, if it has one; no vhost sees it.
    """

    __slots__ = ("__weakref__", "genuine", "holders", "name")

    def __init__(self, name: str, genuine: Any = None) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "genuine", genuine)
        object.__setattr__(self, "holders", set())

    def __getattribute__(self, attribute: str, _asking: Callable[[int], Any] = asking) -> Any:
        name = object.__getattribute__(self, "name")
        system = _asking(2)
        if attribute == "__spec__":
            return _spec(self, name, system)
        if system is None:
            module = object.__getattribute__(self, "genuine")
        else:
            module = dict.get(system.modules, name)
            if module is None and library.is_pure(name):
                module = _imported(system, name)
        if module is None:
            if attribute == "__class__":
                return StandIn
            raise AttributeError(f"module {name!r} of a vhost has no {attribute!r} here")
        return getattr(module, attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(_present(self, asking(2)), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(_present(self, asking(2)), attribute)

    def __dir__(self) -> list[str]:
        return dir(_present(self, asking(2)))

    def __repr__(self) -> str:
        return f"<stand-in for module {object.__getattribute__(self, 'name')!r}>"


class LibraryStandIn(ModuleType):
    """The same for a module of the standard library, which the daemon has too.

    The C code of a server takes what it finds there for a module: mod_wsgi looks into the
    dictionary of ``io``. This one has the names of the daemon's module.
    """

    __slots__ = ("genuine", "holders", "name")
    __getattribute__ = StandIn.__getattribute__
    __setattr__ = StandIn.__setattr__
    __delattr__ = StandIn.__delattr__
    __dir__ = StandIn.__dir__
    __repr__ = StandIn.__repr__

    def __init__(self, name: str, genuine: Any = None) -> None:
        super().__init__(name)
        StandIn.__init__(self, name, genuine)  # type: ignore[arg-type]
        _fill(self, genuine)


def stands(module: Any) -> bool:
    """Whether something in the real table is a stand-in."""
    return type(module) is StandIn or type(module) is LibraryStandIn


def genuine(module: Any) -> Any:
    """The daemon's own module, for what stands in the real table."""
    return object.__getattribute__(module, "genuine") if stands(module) else module


def _fill(stand_in: Any, genuine: Any) -> None:
    if type(stand_in) is LibraryStandIn and type(genuine) is ModuleType:
        object.__getattribute__(stand_in, "__dict__").update(vars(genuine))


def _imported(system: System, name: str) -> Any:
    """A module of the library that C code looks for; a site may have another of that name."""
    try:
        return system.import_module(name)
    except ImportError:
        return None


def _present(stand_in: Any, system: System | None) -> Any:
    name = object.__getattribute__(stand_in, "name")
    module = (
        object.__getattribute__(stand_in, "genuine")
        if system is None
        else dict.get(system.modules, name)
    )
    if module is None:
        raise AttributeError(f"module {name!r} of a vhost cannot be reached from here")
    return module


def _spec(stand_in: Any, name: str, system: System | None) -> Any:
    """import.c asks what it finds in the real table for ``__spec__._initializing``.

    So somebody is importing the name, and it is imported here, with the locks of the system that is
    asking. It never looks unfinished: import.c would wait for a lock of the real import system.
    """
    if system is not None:
        module = system.import_module(name)
    else:
        module = object.__getattribute__(stand_in, "genuine")
        if module is None:
            module = table.load_genuine(name, load_real)
    spec = getattr(module, "__spec__", None)
    if spec is None:
        return ModuleSpec(name, None)
    if is_initializing(module):
        spec = copy.copy(spec)
        spec._initializing = False
    return spec


class _Table:
    """The stand-ins of this interpreter, and who has a module of their names.

    A holder is a release, known by the identity of its table of modules. ``_lock`` guards
    ``_names`` and ``_stand_ins`` with their holders.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a finalizer may import in the middle
        self._names: dict[int, set[str]] = {}
        self._stand_ins: dict[str, Any] = {}
        self._restorers: dict[str, tuple[Any, type]] = {}

    def after_fork(self) -> None:
        """Another thread may have held the lock when the process forked."""
        self._lock = threading.RLock()

    def open(self, holder: object) -> None:
        """A release begins."""
        self._names[id(holder)] = set()

    def announce(self, name: str, holder: object) -> None:
        """A release has a module of this name, or is about to."""
        if name in self._names.get(id(holder), ()) or not _needs_stand_in(name):
            return
        with self._lock:
            names = self._names.get(id(holder))
            if names is None:  # closed; a thread that is left of it imports
                return
            stand_in = self._stand_ins.get(name)
            if stand_in is None:
                kind = LibraryStandIn if library.is_pure(name) else StandIn
                stand_in = self._stand_ins[name] = kind(name, real_modules.get(name))
                real_modules[name] = stand_in
            _holders(stand_in).add(id(holder))
            names.add(name)

    def adopt(self, name: str) -> None:
        """The daemon has loaded a module of the library; see the module."""
        if type(real_modules.get(name)) is ModuleType and library.is_pure(name):
            self.announce(name, self)

    def close(self, holder: object) -> None:
        """A release is retired: take its names out of the real table. May be called twice."""
        with self._lock:
            for name in self._names.pop(id(holder), ()):
                self._withdraw(name, id(holder))

    def _withdraw(self, name: str, holder: int) -> None:
        stand_in = self._stand_ins[name]
        _holders(stand_in).discard(holder)
        if _holders(stand_in):
            return
        del self._stand_ins[name]
        self._restorers.pop(name, None)
        genuine = object.__getattribute__(stand_in, "genuine")
        if genuine is not None:
            real_modules[name] = genuine
        elif real_modules.get(name) is stand_in:
            del real_modules[name]

    def load_genuine(self, name: str, load: Callable[[str], Any]) -> Any:
        """Load the daemon's own module of a name that stands for vhosts' modules by now."""
        stand_in = real_modules.pop(name, None)
        try:
            genuine = load(name)
        finally:
            with self._lock:
                current = self._stand_ins.get(name)
                if current is not None and current is stand_in:
                    object.__setattr__(current, "genuine", real_modules.get(name))
                    _fill(current, real_modules.get(name))
                    real_modules[name] = current
        return genuine

    def restorer(self, name: str) -> Any:
        """Return an object that, when it is freed, puts back what the real table shows now.

        Freeing it runs C code alone, so that no other thread gets its turn; see ``importing``.
        """
        shown = real_modules.get(name, MISSING)
        known = self._restorers.get(name)
        if known is None or known[0] is not shown:
            # staticmethod: functools.partial becomes a descriptor in later versions of Python.
            end = staticmethod(putting_back(name, shown))
            known = (shown, type("Restorer", (), {"__del__": end}))
            self._restorers[name] = known
        return known[1]()


def _needs_stand_in(name: object) -> bool:
    """C modules of the library need none, but for one that C code may call for a release."""
    if not isinstance(name, str) or name.partition(".")[0] in _NEVER:
        return False
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names or name == "atexit" or library.is_pure(name)


def _holders(stand_in: Any) -> set[int]:
    holders: set[int] = object.__getattribute__(stand_in, "holders")
    return holders


table = _Table()
