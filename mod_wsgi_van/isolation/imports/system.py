"""The private import system of one release: its own ``sys``, ``builtins`` and importlib."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.asking import MARK, caller, unasked
from mod_wsgi_van.isolation.imports.bytecode import distrust_young_bytecode
from mod_wsgi_van.isolation.imports.contexts import Made
from mod_wsgi_van.isolation.imports.extensions import private_imp
from mod_wsgi_van.isolation.imports.importing import make_import
from mod_wsgi_van.isolation.imports.privates import PRIVATE, load_early, prepare
from mod_wsgi_van.isolation.imports.standins import table

# The daemon's modules that every vhost may share: the standard library, but for the copies, and
# what Apache's module provides.
_SHARED = frozenset(sys.stdlib_module_names) - PRIVATE | {"mod_wsgi", "apache"}
# A file of the application cannot hide these: the interpreter loads them before any path counts.
_NEVER_HIDDEN = frozenset(sys.builtin_module_names) | {
    "abc", "codecs", "encodings", "genericpath", "io", "importlib", "ntpath", "os", "posixpath",
    "runpy", "site", "stat", "zipimport",
}  # fmt: skip
# Those change while the process runs: a private sys answers with the real one's.
_LIVE = frozenset({"stdin", "stdout", "stderr", "last_exc", "last_type", "last_value",
                   "last_traceback", "ps1", "ps2"})  # fmt: skip


def _ignore(what: str) -> None:
    """Report nothing."""


class Modules(dict[str, Any]):
    """``sys.modules`` of a release: what is put in gets a stand-in in the real one."""

    def __init__(self) -> None:
        super().__init__()
        self._announced: set[str] = set()
        self._closed = False

    def announce(self, name: str) -> None:
        """See that the real table has a stand-in for the name."""
        if name not in self._announced and _needs_stand_in(name) and not self._closed:
            table.announce(name, self)
            self._announced.add(name)

    def close(self) -> None:
        """Take the names out of the real table; a thread that is left may import more."""
        self._closed = True
        while self._announced:
            table.withdraw(self._announced.pop(), self)

    def __setitem__(self, name: str, module: Any) -> None:
        self.announce(name)
        super().__setitem__(name, module)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, module in dict(*args, **kwargs).items():
            self[name] = module

    def __ior__(self, other: Any) -> Modules:  # type: ignore[override,misc]
        self.update(other)
        return self


class Finders(list[Any]):
    """``sys.meta_path``: an import sees it as it was when it began.

    Else one that runs while another thread takes a finder out, as setuptools does, skips the next
    and finds no module (gh-130094, mended in CPython 3.14).
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(super().__iter__()))


def _needs_stand_in(name: object) -> bool:
    """Shared modules stand in the real table themselves, and copies are found by import alone."""
    if not isinstance(name, str) or name == "__main__":
        return False
    return name.partition(".")[0] not in sys.stdlib_module_names


class System:
    """Imports for one release; every method may be called from any thread."""

    def __init__(self, source: Source) -> None:
        self.host = source.host
        self.modules = Modules()
        self.lock = threading.RLock()  # what the real import system calls the import lock
        self.exit_handlers: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.fork_handlers: list[dict[str, Any]] = []
        self.context_variables: Made = []
        self._before = [source.directory]
        self._make_importlib(source)
        load_early(self)
        self._add_site_packages(source.site_packages)

    def import_module(self, name: str) -> Any:
        """Import ``name`` as code of the release would, and return that very module."""
        return self.call(self.importlib.import_module, name)

    def provides(self, name: str) -> bool:
        """Whether the release has modules of its own under this name, rather than shared ones.

        Copies of standard modules do not count: shared code that imports them gets the real ones.
        """
        top = name.partition(".")[0]
        if top == "__main__":
            return False
        return top not in sys.stdlib_module_names or (top in _SHARED and self._hidden(top))

    def run_exit_handlers(self, report: Callable[[str], None] = _ignore) -> None:
        """Run what the release registered with atexit, last first; each whatever others raise."""
        while self.exit_handlers:
            function, args, kwargs = self.exit_handlers.pop()
            try:
                self.call(function, *args, **kwargs)
            except BaseException:  # an exit handler may well exit
                report("an exit handler failed")

    def close(self) -> None:
        """Take the release's names out of the real table."""
        self.modules.close()

    def _make_importlib(self, source: Source) -> None:
        names = ModuleType("builtins")
        self.builtins: dict[str, Any] = vars(names)
        self.builtins.update(vars(builtins))
        self.builtins[MARK] = self
        self.call = caller(self.builtins)
        self.sys = _private_sys(source, self.modules)
        private = private_imp(self)
        for module in (names, self.sys, private):
            self._share(module.__name__, module)
        for name in ("_thread", "_weakref", "_warnings", "_io", "marshal", "posix", "time"):
            self._share(name, sys.modules[name])
        self.builtins["__import__"] = self._first_import
        self.importlib = internals.second_importlib(self.sys, private, self.builtins)
        self.importlib.wrap_load(self._make_load)
        self._path_finder = self.importlib.external.PathFinder
        distrust_young_bytecode(self.importlib.external)
        self.builtins["__import__"] = make_import(self)
        prepare(self)
        self.sys.path_hooks.insert(0, self.import_module("zipimport").zipimporter)

    def _first_import(self, name: str, *ignored: Any) -> Any:
        """``__import__`` while importlib itself is being made: it imports built-in modules only."""
        return self.modules[name]

    def _make_load(self, original: Any) -> Any:
        def load(name: str, import_: Any) -> Any:
            """Called with the release's lock for ``name``, which is not in its table."""
            parent, _, _ = name.rpartition(".")
            if parent and parent not in self.modules:
                import_(parent)
            if not self._shares(name):
                return original(name, import_)
            module = self.modules.get(name)
            if module is None:
                module = unasked(importlib.import_module, name)
                self._share(name, module)
            return module

        return load

    def _share(self, name: str, module: Any) -> None:
        dict.__setitem__(self.modules, name, module)

    def _shares(self, name: str) -> bool:
        top = name.partition(".")[0]
        if top not in _SHARED:
            return False
        if top not in sys.stdlib_module_names and top not in sys.modules:
            return False
        if top in self.modules:
            return self.modules[top] is sys.modules.get(top)
        return not self._hidden(top)

    def _hidden(self, top: str) -> bool:
        """Whether a file of the application hides the standard module ``top``."""
        if top in self.modules:
            return self.modules[top] is not sys.modules.get(top)
        if top in _NEVER_HIDDEN:
            return False
        spec = self._path_finder.find_spec(top, self._paths_before_stdlib())
        return spec is not None and spec.loader is not None

    def _paths_before_stdlib(self) -> list[str]:
        path = self.sys.path
        standard = internals.stdlib_dir
        return path[: path.index(standard)] if standard in path else self._before

    def _add_site_packages(self, directories: Iterable[str]) -> None:
        """Append them and what their ``.pth`` files name, as the interpreter does at its start."""
        site = self.modules["site"]
        known: set[str] = set()
        for directory in directories:
            self.call(site.addsitedir, directory, known)


def _private_sys(source: Source, modules: Modules) -> ModuleType:
    private = ModuleType("sys", sys.__doc__)
    vars(private).update({k: v for k, v in vars(sys).items() if k not in _LIVE})
    has_venv = os.path.isdir(source.venv)
    vars(private).update(
        modules=modules,
        path=[source.directory, *_standard_paths()],
        meta_path=Finders(),
        path_hooks=[],
        path_importer_cache={},
        argv=list(sys.argv),
        warnoptions=list(sys.warnoptions),
        prefix=source.venv if has_venv else sys.base_prefix,
        exec_prefix=source.venv if has_venv else sys.base_exec_prefix,
        executable=source.python if os.path.exists(source.python) else sys.executable,
        __getattr__=_real_attribute,
    )
    return private


def _real_attribute(name: str) -> Any:
    return getattr(sys, name)


def _standard_paths() -> list[str]:
    """The entries of the interpreter's first sys.path that hold the standard library."""
    standard = internals.stdlib_dir
    return [
        os.path.join(os.path.dirname(standard), "python{}{}.zip".format(*sys.version_info[:2])),
        standard,
        os.path.join(standard, "lib-dynload"),
    ]
