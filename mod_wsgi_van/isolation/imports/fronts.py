"""Private functions in front of C modules, where the state behind them is the process's.

Each front changes the namespace of a module as one release sees it.
"""

from __future__ import annotations

import _posixsubprocess
import _socket
import _thread
import atexit
import contextlib
import contextvars
import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType
from typing import Any

from mod_wsgi_van.interpreter.leftovers import leave
from mod_wsgi_van.isolation.imports import internals, registries, signals, strays, swaps, zones
from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.contexts import private_contextvar
from mod_wsgi_van.isolation.imports.system import System, put

Names = dict[str, Any]

_MOMENTS = frozenset({"before", "after_in_child", "after_in_parent"})  # of a fork


def _posix(system: System, names: Names) -> None:
    """The environment, whom it is handed to, and what is called at a fork."""
    environ = system.environ
    names["environ"] = dict(environ)

    def named(name: Any) -> bytes:
        encoded = os.fsencode(name)
        if not encoded or b"=" in encoded or b"\0" in encoded:
            raise ValueError("illegal environment variable name")
        return encoded

    def putenv(name: Any, value: Any, /) -> None:
        """The C environment belongs to the process: other sites' C code reads it too."""
        key, text = named(name), os.fsencode(value)
        if b"\0" in text:
            raise ValueError("embedded null byte")
        environ[key] = text

    def unsetenv(name: Any, /) -> None:
        """See putenv."""
        environ.pop(named(name), None)

    def command_status(command: Any) -> int:
        """os.system: the shell gets this release's environment; the result is a wait status."""
        sys.audit("os.system", command)
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], environ)
        return os.waitpid(pid, 0)[1]

    def execv(path: Any, argv: Any, /) -> None:
        os.execve(path, argv, environ)

    def posix_spawn(path: Any, argv: Any, env: Any, /, **kwargs: Any) -> int:
        return os.posix_spawn(path, argv, environ if env is None else env, **kwargs)

    def posix_spawnp(path: Any, argv: Any, env: Any, /, **kwargs: Any) -> int:
        return os.posix_spawnp(path, argv, environ if env is None else env, **kwargs)

    def register_at_fork(**handlers: Any) -> None:
        """The real one would keep the handlers, and so the release, until the process ends."""
        if not handlers or not handlers.keys() <= _MOMENTS:
            raise TypeError(f"expected some of {', '.join(sorted(_MOMENTS))}")
        if not all(map(callable, handlers.values())):
            raise TypeError("Args must be callable")
        system.fork_handlers.append(handlers)

    put(
        system, names, "posix", putenv, unsetenv, execv, posix_spawn, posix_spawnp, register_at_fork
    )
    command_status.__name__ = "system"
    put(system, names, "posix", command_status)


def _fork_exec(system: System, names: Names) -> None:
    """subprocess and multiprocessing end here: no environment given means the release's."""

    def fork_exec(*args: Any) -> int:
        values = list(args)
        if values[5] is None:  # env_list
            values[5] = [name + b"=" + value for name, value in system.environ.items()]
        return _posixsubprocess.fork_exec(*values)

    put(system, names, "_posixsubprocess", fork_exec)


def _atexit(system: System, names: Names) -> None:
    """Handlers run when the release is retired."""
    handlers = system.exit_handlers

    def register(func: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not callable(func):
            raise TypeError("the first argument must be callable")
        handlers.append((func, args, kwargs))
        return func

    def unregister(func: Any, /) -> None:
        handlers[:] = [entry for entry in handlers if entry[0] != func]

    def _clear() -> None:
        handlers.clear()

    def _ncallbacks() -> int:
        return len(handlers)

    def _run_exitfuncs() -> None:
        system.run_exit_handlers()

    register.__doc__ = atexit.register.__doc__
    put(system, names, "atexit", register, unregister, _clear, _ncallbacks, _run_exitfuncs)


def _gc(system: System, names: Names) -> None:
    """The collector works for all: what a site switches is remembered, and changes nothing."""
    enabled, frozen = True, 0
    names["garbage"], names["callbacks"] = gc.garbage, system.collections
    if collected not in gc.callbacks:
        gc.callbacks.append(collected)
    threshold: tuple[int, ...] = gc.get_threshold()

    def enable() -> None:
        nonlocal enabled
        enabled = True

    def disable() -> None:
        nonlocal enabled
        enabled = False

    def isenabled() -> bool:
        return enabled

    def set_threshold(*values: int) -> None:
        nonlocal threshold
        threshold = (*values, *threshold[len(values) :])

    def get_threshold() -> tuple[int, ...]:
        return threshold

    def freeze() -> None:
        nonlocal frozen
        frozen = len(gc.get_objects())

    def unfreeze() -> None:
        nonlocal frozen
        frozen = 0

    def get_freeze_count() -> int:
        return frozen

    def set_debug(flags: int, /) -> None:
        leave("gc debug", partial(gc.set_debug, gc.get_debug()))
        gc.set_debug(flags)

    put(system, names, "gc", enable, disable, isenabled, set_threshold, get_threshold)
    put(system, names, "gc", freeze, unfreeze, get_freeze_count, set_debug)


def collected(phase: str, info: dict[str, int]) -> None:
    """Stands in the real ``gc.callbacks`` for those of all releases: whose code set it off?"""
    if (system := asking(2)) is not None:
        for callback in list(system.collections):
            system.call(callback, phase, info)


def _threads(system: System, names: Names) -> None:
    """threading reports in Python then, to the release's ``sys.stderr``.

    Each ``threading`` takes the thread that imports it for the main thread, and would take the lock
    from it that tells its true owner, the server's ``threading``, when it ends.
    """
    names.pop("_excepthook", None)
    if "_set_sentinel" not in names:  # from Python 3.13 on
        _joinable_threads(system, names)
        return
    start, sentinel, allocate = _thread.start_new_thread, names["_set_sentinel"], _thread.allocate
    own = _thread._local()

    def start_new_thread(function: Any, args: Any, kwargs: Any = None, /) -> int:
        if not callable(function):
            raise TypeError("first arg must be callable")

        def begin(*args: Any, **kwargs: Any) -> None:
            own.started = True
            function(*args, **kwargs)

        return start(begin, args) if kwargs is None else start(begin, args, kwargs)

    def _set_sentinel() -> Any:
        return sentinel() if hasattr(own, "started") else allocate()

    put(system, names, "_thread", start_new_thread, _set_sentinel)
    names["start_new"] = names["start_new_thread"]


def _joinable_threads(system: System, names: Names) -> None:
    """The interpreter waits for the threads of the daemon alone when it ends."""
    start = names["start_joinable_thread"]
    handles: list[Any] = []  # of threads that are no daemons

    def start_joinable_thread(function: Any, handle: Any = None, daemon: bool = True) -> Any:
        started = start(function, handle=handle, daemon=True)
        if not daemon:
            handles[:] = [each for each in handles if not each.is_done()]
            handles.append(started)
        return started

    def _shutdown() -> None:
        while handles:
            handles.pop().join()

    put(system, names, "_thread", start_joinable_thread, _shutdown)


def _warnings(system: System, names: Names) -> None:
    """Without them warnings.py keeps filters of its own, and C code reads those there."""
    for name in ("filters", "_defaultaction", "_onceregistry", "_filters_mutated"):
        names.pop(name, None)


def _contextvars(system: System, names: Names) -> None:
    names["ContextVar"] = private_contextvar(system.context_variables)


def _timeout(system: System, names: Names) -> None:
    """``socket.setdefaulttimeout`` for the sockets that the release makes."""
    timeout: float | None = None

    class socket(_socket.socket):
        __slots__ = ()
        __module__ = "_socket"
        __doc__ = _socket.socket.__doc__

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if timeout is not None:
                self.settimeout(timeout)

    def setdefaulttimeout(value: float | None, /) -> None:
        nonlocal timeout
        probe = _socket.socket(_socket.AF_UNIX)
        try:
            probe.settimeout(value)  # raises what the real function raises
            timeout = probe.gettimeout()
        finally:
            probe.close()

    def getdefaulttimeout() -> float | None:
        return timeout

    socket.__qualname__ = "socket"
    names["socket"] = names["SocketType"] = socket
    put(system, names, "_socket", setdefaulttimeout, getdefaulttimeout)


def _sqlite(system: System, names: Names) -> None:
    """The connections of a release are known, so that they can be closed with it."""
    base, real = names["Connection"], names["connect"]
    remember = system.connections.__setitem__

    class Closed(base):  # type: ignore[misc,valid-type]
        __slots__ = () if base.__weakrefoffset__ else ("__weakref__",)
        __module__ = "sqlite3"
        __doc__ = base.__doc__

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made = super().__new__(cls)
            remember(id(made), made)
            return made

    def connect(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 6:  # the sixth is the factory
            kwargs.setdefault("factory", Closed)
        return real(*args, **kwargs)

    Closed.__name__ = Closed.__qualname__ = "Connection"
    names["Connection"] = Closed
    connect.__doc__ = real.__doc__
    put(system, names, "_sqlite3", connect)


def _pickle(system: System, names: Names) -> None:
    """The C pickler looks in the table of the ``copyreg`` that it was made with."""
    real = names["Pickler"].__mro__[-2]  # that of the C module
    table = system.import_module("copyreg").dispatch_table
    slot = real.dispatch_table
    bytes_io = system.import_module("_io").BytesIO

    class Pickler(real):  # type: ignore[misc,valid-type]
        __slots__ = ()
        __module__ = "_pickle"
        __doc__ = real.__doc__

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            try:
                slot.__get__(self)  # a subclass may have one
            except AttributeError:
                slot.__set__(self, table)

    def dump(obj: Any, file: Any, protocol: Any = None, **kwargs: Any) -> None:
        Pickler(file, protocol, **kwargs).dump(obj)

    def dumps(obj: Any, protocol: Any = None, **kwargs: Any) -> bytes:
        file = bytes_io()
        Pickler(file, protocol, **kwargs).dump(obj)
        value: bytes = file.getvalue()
        return value

    Pickler.__qualname__ = "Pickler"
    names["Pickler"] = Pickler
    put(system, names, "_pickle", dump, dumps)


def _asyncio(system: System, names: Names) -> None:
    """C code asks a function of the daemon's ``asyncio`` for the policy, and keeps it: it asks.

    C code writes down which task runs in a dictionary of its own, where ``asyncio`` reads it.
    """
    names["_current_tasks"] = internals.load_real("_asyncio")._current_tasks
    kept = internals.load_real("asyncio.events").get_event_loop_policy
    copy = FunctionType(kept.__code__, kept.__globals__, kept.__name__)
    original = vars(kept).setdefault("__wrapped__", copy)  # the first, whoever loads meanwhile
    kept.__defaults__ = (partial(_policy, original),)
    kept.__code__ = _asking_for_policy.__code__


def _asking_for_policy(find: Any = None) -> Any:
    return find()


def _policy(original: Callable[[], Any]) -> Any:
    """Of the release whose code calls C code, which calls the function in the frame between."""
    system = asking(3)
    if system is None:
        return original()
    return system.import_module("asyncio.events").get_event_loop_policy()


def _elementtree(system: System, names: Names) -> None:
    """The factories of the daemon's library stay: those of a release are the same objects."""

    def _set_factories(comment: Any, pi: Any, /) -> tuple[Any, Any]:
        return comment, pi

    put(system, names, "_elementtree", _set_factories)


def _decimal(system: System, names: Names) -> None:
    """What the C module registered with the daemon's abstract classes when it was made.

    It compares a Decimal with what the daemon's ``numbers`` takes for a rational number.
    """
    internals.load_real("numbers").Rational.__subclasshook__ = _is_rational
    system.import_module("numbers").Number.register(names["Decimal"])
    traps = type(names["Context"]().traps)
    with contextlib.suppress(TypeError):  # a class of the main interpreter's, in another one
        system.import_module("collections.abc").MutableMapping.register(traps)


@classmethod  # type: ignore[misc]
def _is_rational(cls: type, other: type) -> Any:
    """A ``__subclasshook__`` that finds the class ``Rational`` of any release."""
    named = "numbers", "Rational"
    if (cls.__module__, cls.__qualname__) != named:
        return NotImplemented
    bases = ((base.__module__, base.__qualname__) for base in type.mro(other))
    return named in bases or NotImplemented


def _zoneinfo(system: System, names: Names) -> None:
    """The C module finds files with functions of the daemon's ``zoneinfo``: they ask."""
    search = internals.load_real("zoneinfo._tzpath")
    if type(search.TZPATH) is not _SearchPath:
        search.TZPATH = _SearchPath(search.TZPATH)
        common = internals.load_real("zoneinfo._common")
        common.load_tzdata = _asking_first("zoneinfo._common", common.load_tzdata)
    real = names["ZoneInfo"]
    recent: deque[Any] = deque(maxlen=8)  # C code has that for its own class alone

    def __new__(cls: Any, key: str) -> Any:
        zone = real.__new__(cls, key)
        recent.append(zone)
        return zone

    def __repr__(zone: Any) -> str:
        return f"zoneinfo.{real.__repr__(zone)}" if type(zone) is own else real.__repr__(zone)

    def __str__(zone: Any) -> str:
        return repr(zone) if zone.key is None else str(zone.key)

    members: Names = {"__slots__": (), "__module__": "zoneinfo", "__doc__": real.__doc__}
    put(system, members, "zoneinfo", __new__)  # C code asks from its frame
    own = names["ZoneInfo"] = type(
        "ZoneInfo", (real,), members | {"__repr__": __repr__, "__str__": __str__}
    )


class _SearchPath(tuple[str, ...]):
    """The TZPATH of whoever looks for a file: the frame between is that of ``find_tzfile``."""

    def __iter__(self) -> Iterator[str]:
        system = asking(3)
        if system is None:
            return super().__iter__()
        found: tuple[str, ...] = system.import_module("zoneinfo._tzpath").TZPATH
        return iter(found)


def _asking_first(module: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        system = asking(2)
        if system is None:
            return original(*arguments)
        return getattr(system.import_module(module), original.__name__)(*arguments)

    return function


def _ssl(system: System, names: Names) -> None:
    """OpenSSL looks for the certificates that are named in the environment of the process."""
    real = names["_SSLContext"]
    file_name, default_file, directory_name, default_directory = names["get_default_verify_paths"]()

    class _SSLContext(real):  # type: ignore[misc,valid-type]
        __slots__ = ()
        __module__ = "_ssl"
        __doc__ = real.__doc__

        def set_default_verify_paths(self) -> None:
            own, both = system.environ, (file_name.encode(), directory_name.encode())
            if all(own.get(name) == os.environb.get(name) for name in both):
                super().set_default_verify_paths()
                return
            file = own.get(both[0], default_file)
            directory = own.get(both[1], default_directory)
            if os.path.isfile(file):
                self.load_verify_locations(file)
            if os.path.isdir(directory):
                self.load_verify_locations(None, directory)

    _SSLContext.__qualname__ = "_SSLContext"
    names["_SSLContext"] = _SSLContext


def _decimal_context(system: System, names: Names) -> None:
    """The variable that C code has made itself is the release's, as those of Python code are."""
    context = contextvars.Context()
    context.run(names["getcontext"])
    system.context_variables.extend(context)


def _ctypes(system: System, names: Names) -> None:
    """The C functions keep the pointer types of all releases in one table."""
    cache: dict[Any, Any] = {}
    base = names["_Pointer"]
    kind = type(base)

    def POINTER(cls: Any, /) -> Any:
        if (known := cache.get(cls)) is not None:
            return known
        if isinstance(cls, str):
            made = kind("LP_" + cls, (base,), {})
            cache[id(made)] = made
        elif isinstance(cls, type):
            made = cache[cls] = kind("LP_" + cls.__name__, (base,), {"_type_": cls})
        else:
            raise TypeError("must have a ctypes type")
        return made

    def pointer(instance: Any, /) -> Any:
        return names["POINTER"](type(instance))(instance)

    names["_pointer_type_cache"] = cache
    put(system, names, "_ctypes", POINTER, pointer)


Front = Callable[[System, Names], None]
FRONTS: dict[str, tuple[Front, ...]] = {
    "posix": (_posix,),
    "_posixsubprocess": (_fork_exec,),
    "atexit": (_atexit,),
    "gc": (_gc,),
    "_codecs": (registries.front,),
    "_thread": (_threads, swaps.stack_size),
    "_warnings": (_warnings,),
    "_contextvars": (_contextvars,),
    "_signal": (signals.front,),
    "_locale": (swaps.locale,),
    "time": (swaps.clock, zones.clock),
    "_lsprof": (strays.profiler,),
    "_asyncio": (strays.running_loop,),
    "_ctypes": (strays.errno,),
    "_ssl": (_ssl,),
    "_sqlite3": (_sqlite,),
}
if sys.version_info < (3, 12):
    FRONTS.update(_socket=(_timeout,), _pickle=(_pickle,), _elementtree=(_elementtree,))
    FRONTS["_zoneinfo"] = (_zoneinfo,)
if sys.version_info < (3, 13):
    FRONTS["_decimal"] = (_decimal, strays.decimal)
    FRONTS["_ctypes"] += (_ctypes,)
else:
    FRONTS["_decimal"] = (_decimal_context,)
if sys.version_info < (3, 14):
    FRONTS["_asyncio"] += (_asyncio,)
