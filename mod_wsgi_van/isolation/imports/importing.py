"""The ``__import__`` of a release, and the way into it for imports that do not call it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.internals import (
    MISSING,
    as_importlib,
    is_initializing,
    real_modules,
)
from mod_wsgi_van.isolation.imports.standins import genuine, stands, table
from mod_wsgi_van.isolation.imports.system import System

Import = Callable[..., Any]

# Where importlib calls what is not its own.
_FRAMES_REMOVED = "_call_with_frames_removed"


def make_import(system: System) -> Import:
    """The function that the import statement of the release's modules finds in their builtins.

    The common cases, where everything is imported already, are answered here; the rest by
    the release's own importlib.
    """
    get = system.modules.get
    import_statement = system.importlib.import_statement
    import_module = system.importlib.import_module
    import_items = system.importlib.import_items
    strip = _strip

    def __import__(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        try:
            if type(fromlist) is list and not fromlist and globals is locals and not level:
                imported = import_module(name)
                module = get(name)
                if module is None:  # it took itself out of sys.modules
                    return imported
                if real_modules.get(name) is not module:
                    # C code (pickle, numpy) is calling, through PyImport_Import(). It ignores what
                    # is returned here and reads the real table, so the right module is put there.
                    # Then it frees its `fromlist`, and with it the restorer, which puts back what
                    # was there. From the next statement until then no bytecode runs, so no other
                    # thread does.
                    fromlist.append(table.restorer(name))
                    real_modules[name] = module
                return module
            found = name
            if level:
                package = globals.get("__package__") if globals else None
                if not package or not fromlist:
                    return import_statement(name, globals, locals, fromlist, level)
                if level > 1:
                    parts = package.rsplit(".", level - 1)
                    if len(parts) < level:
                        return import_statement(name, globals, locals, fromlist, level)
                    package = parts[0]
                found = f"{package}.{name}" if name else package
            elif not fromlist and "." in name:
                return import_statement(name, globals, locals, fromlist, level)
            module = get(found)
            if module is None or is_initializing(module):
                module = import_statement(name, globals, locals, fromlist, level)
            if fromlist and hasattr(module, "__path__"):
                for item in fromlist:
                    if type(item) is not str or item == "*" or not hasattr(module, item):
                        import_items(module, fromlist, import_module)
                        return _with_unbound(module, fromlist, get)
            return module
        except BaseException as error:
            strip(error)
            raise

    return as_importlib(__import__)


def _strip(error: BaseException) -> None:
    """Take the frames of the import system out of a traceback, as import.c does with its own.

    The bare ``raise`` that follows adds none. Of an error that importlib itself ran into, and that
    is no ImportError, they stay.
    """
    always = isinstance(error, ImportError)
    kept: list[TracebackType] = []
    chunk: list[TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        code = entry.tb_frame.f_code
        if _is_ours(code.co_filename):
            chunk.append(entry)
        else:
            if chunk and not always and chunk[-1].tb_frame.f_code.co_name != _FRAMES_REMOVED:
                kept += chunk
            chunk = []
            kept.append(entry)
        entry = entry.tb_next
    if chunk and not always and chunk[-1].tb_frame.f_code.co_name != _FRAMES_REMOVED:
        kept += chunk
    following = None
    for entry in reversed(kept):
        entry.tb_next = following
        following = entry
    error.__traceback__ = following


def _is_ours(filename: str) -> bool:
    return filename.startswith(("<frozen importlib._bootstrap", _OURS))


_OURS = __file__.rpartition("/imports/")[0] + "/"


class _Partial:
    """A package together with submodules that are not bound to it yet."""

    def __init__(self, package: Any, unbound: dict[str, Any]) -> None:
        self.__dict__.update(unbound, _package=package)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._package, name)


def _with_unbound(package: Any, fromlist: Sequence[str], get: Callable[[str], Any]) -> Any:
    """What ``from package import ...`` takes its names from.

    A submodule is bound to its package when it is complete. Imported in a circle before that, the
    interpreter finds it in the real table; binding it early would show it to other threads.
    """
    unbound = {}
    for item in fromlist:
        if not hasattr(package, item) and (module := get(f"{package.__name__}.{item}")) is not None:
            unbound[item] = module
    return _Partial(package, unbound) if unbound else package


def make_find_and_load(system: System, original: Import) -> Import:
    """What the release's importlib does with every name that is imported.

    A module that another thread is executing is waited for. Where that would never end, because the
    other thread waits for one of ours, it is taken as far as it is, as import.c does.
    """
    modules, wait = system.modules, system.importlib.bootstrap._lock_unlock_module
    private = system.sys

    def _find_and_load(name: str, import_: Import) -> Any:
        module = modules.get(name, MISSING)
        if module is not MISSING and module is not None and is_initializing(module):
            wait(name)
            module = modules.get(name, MISSING)
            if module is not MISSING and module is not None:
                return module
        if system.audit_hooks:  # import.c tells them
            found = private.path, private.meta_path, private.path_hooks
            sys.audit("import", name, None, *found)
        return original(name, import_)

    return _find_and_load


def make_real_find_and_load(original: Import) -> Import:
    """What the real importlib does with a name that its table does not hold.

    C code ends here when it imports for a vhost. The decision is made before a lock of the real
    import system is taken: those never wait for the locks of a release.
    """

    def _find_and_load(name: str, import_: Import) -> Any:
        module = real_modules.get(name, MISSING)
        stood = stands(module)
        if stood or module is MISSING:
            system = asking(2)
            if system is not None:
                return system.import_module(name)
            parent = name.rpartition(".")[0]
            if parent and stands(real_modules.get(parent)):
                import_(parent)  # it may stand for modules of releases alone
            if stood:
                if (own := genuine(module)) is not None:
                    return own
                return table.load_genuine(name, lambda missing: original(missing, import_))
        found = original(name, import_)
        table.adopt(name)
        return found

    return _find_and_load
