"""What the Python of one release is; ``building`` makes one."""

from __future__ import annotations

import builtins
import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from datetime import tzinfo
from types import FunctionType, ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports.contexts import Made
from mod_wsgi_van.isolation.imports.internals import Importlib, environ_data

# The name in a private builtins dictionary under which its System stands.
MARK = "__mod_wsgi_van_release__"

Caller = Callable[..., Any]


class System:
    """The parts of one release's import system; any thread may use them.

    ``modules`` is its ``sys.modules``, ``builtins`` what its code finds as builtins, ``call`` calls
    a function from a frame with these, ``lock`` is what CPython calls the import lock.
    """

    sys: ModuleType
    importlib: Importlib

    def __init__(self, host: str, directory: str, modules: dict[str, Any]) -> None:
        self.host = host
        self.directory = directory  # real; first on its sys.path
        self.modules = modules
        names = ModuleType("builtins")
        self.builtins: dict[str, Any] = vars(names)
        self.builtins.update(vars(builtins))
        self.builtins[MARK] = self
        self.place("builtins", names)
        self.call = caller(self.builtins)
        self.lock = threading.RLock()
        self.environ = dict(environ_data(os.environ))  # what its children get
        self.exit_handlers: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.fork_handlers: list[dict[str, Any]] = []
        self.context_variables: Made = []
        self.codecs: list[Any] = []
        self.codes: list[Any] = []  # of its modules; they stay shared as long as it has them
        # What only a registry led to: a class there is found and freed with the rest.
        self.purged: list[Any] = []
        # Of sqlite3, by identity: a class of the application may say that all are equal.
        self.connections: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.codecs_found: dict[str, Any] = {}
        self.error_handlers: dict[str, Any] = {}
        self.collections: list[Any] = []  # gc.callbacks
        self.audit_hooks: list[Any] = []
        self.locale: list[tuple[int, str]] = []  # set by the release, in this order
        self.tools: set[int] = set()  # of sys.monitoring
        self.zone: tzinfo | None = None  # set by the release; None is that of the process

    def place(self, name: str, module: Any) -> None:
        """Put a module in the table that needs no stand-in in the real one."""
        dict.__setitem__(self.modules, name, module)

    def import_module(self, name: str) -> Any:
        """Import ``name`` as code of the release would, and return that very module."""
        return self.call(self.importlib.import_module, name)

    def run_exit_handlers(self) -> None:
        """Run what the release registered with atexit, last first; each whatever others raise."""
        while self.exit_handlers:
            function, args, kwargs = self.exit_handlers.pop()
            with contextlib.suppress(BaseException):  # an exit handler may well exit
                self.call(function, *args, **kwargs)


def caller(names: dict[str, Any]) -> Caller:
    """A function that calls its first argument from a frame with these builtins."""
    return FunctionType(_call.__code__, {"__builtins__": names, "__name__": __name__}, "_call")


def _call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


class _Builtin(staticmethod):  # type: ignore[type-arg]
    """A function that is no method of the class that it is an attribute of, like those of C."""

    def __reduce__(self) -> str:
        name: str = self.__qualname__
        return name


def put(system: System, names: dict[str, Any], module: str, *functions: Any) -> None:
    """Let functions of ours stand in a namespace of a release as those of ``module``.

    They get the release's builtins: what C code imports when they call it is the release's.
    """
    for function in functions:
        code, name = function.__code__, function.__name__
        known = function.__globals__
        own = {used: known[used] for used in code.co_names if used in known}
        own |= {"__builtins__": system.builtins, "__name__": module}
        made = FunctionType(code, own, name, function.__defaults__, function.__closure__)
        made.__kwdefaults__, made.__doc__ = function.__kwdefaults__, function.__doc__
        made.__module__, made.__qualname__ = module, name
        names[name] = _Builtin(made)
