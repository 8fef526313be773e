"""Copies of standard modules that hold import state, or settings that sites would fight over.

Each release has its own; the rest of the standard library is shared. What a copy would still do
to the whole process (its environment variables, its exit handlers) is kept in the release.
"""

from __future__ import annotations

import _posixsubprocess
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from mod_wsgi_van.isolation.imports.contexts import private_contextvars
from mod_wsgi_van.isolation.imports.internals import environ_data, set_environ_data
from mod_wsgi_van.isolation.imports.system import System


def prepare(system: System) -> None:
    """Put in place the modules that are made here, not copied."""
    main = ModuleType("__main__")
    vars(main)["__builtins__"] = system.builtins
    made = (
        main,
        _make_atexit(system),
        _make_posixsubprocess(system),
        private_contextvars(system.context_variables),
    )
    for module in made:
        system.place(module.__name__, module)


def load_early(system: System) -> None:
    """Load the copies that must be changed before anybody else can see them."""
    _make_os_private(system, system.import_module("os"))
    # Without its C half, which all interpreters' modules share, warnings.py keeps its own filters.
    system.place("_warnings", None)
    try:
        system.import_module("warnings")
    finally:
        del system.modules["_warnings"]
    # site.py runs main() when it is imported, unless the interpreter was started without site:
    # that would add the daemon's directories.
    flags = sys.flags
    names = [name for name in dir(flags) if not name.startswith(("_", "n_", "count", "index"))]
    shown = {name: getattr(flags, name) for name in names}
    vars(system.sys)["flags"] = SimpleNamespace(**(shown | {"no_site": 1}))
    try:
        system.import_module("site")
    finally:
        vars(system.sys)["flags"] = flags


def _make_os_private(system: System, private: Any) -> None:
    # os.py takes the dictionary that posix made when the interpreter started for its own.
    set_environ_data(private, dict(environ_data(os.environ)))

    def putenv(name: Any, value: Any) -> None:
        """The C environment belongs to the process: other sites' C code reads it too."""

    def unsetenv(name: Any) -> None:
        """See putenv."""

    def command_status(command: Any) -> int:
        """os.system: the shell gets this release's environment; the result is a wait status."""
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], private.environ)
        return os.waitpid(pid, 0)[1]

    def execv(path: Any, argv: Any) -> None:
        os.execve(path, argv, private.environ)

    def posix_spawn(path: Any, argv: Any, env: Any, **kwargs: Any) -> int:
        return os.posix_spawn(path, argv, private.environ if env is None else env, **kwargs)

    def posix_spawnp(path: Any, argv: Any, env: Any, **kwargs: Any) -> int:
        return os.posix_spawnp(path, argv, private.environ if env is None else env, **kwargs)

    def register_at_fork(**handlers: Any) -> None:
        """The real one would keep the handlers, and so the release, until the process ends."""
        system.fork_handlers.append(handlers)

    for function in (putenv, unsetenv, execv, posix_spawn, posix_spawnp, register_at_fork):
        setattr(private, function.__name__, function)
    private.system = command_status


def _make_posixsubprocess(system: System) -> ModuleType:
    """subprocess and multiprocessing end here: no environment given means the release's."""
    private = ModuleType("_posixsubprocess")
    vars(private).update(vars(_posixsubprocess))

    def fork_exec(*args: Any) -> int:
        values = list(args)
        if values[5] is None:  # env_list
            environ = system.modules["os"].environb
            values[5] = [name + b"=" + value for name, value in environ.items()]
        return _posixsubprocess.fork_exec(*values)

    private.fork_exec = fork_exec  # type: ignore[attr-defined]
    return private


def _make_atexit(system: System) -> ModuleType:
    """atexit whose handlers run when the release is retired."""
    private = ModuleType("atexit", sys.modules["atexit"].__doc__)
    handlers = system.exit_handlers

    def register(func: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not callable(func):
            raise TypeError("the first argument must be callable")
        handlers.append((func, args, kwargs))
        return func

    def unregister(func: Any, /) -> None:
        handlers[:] = [entry for entry in handlers if entry[0] != func]

    vars(private).update(
        register=register,
        unregister=unregister,
        _clear=handlers.clear,
        _ncallbacks=handlers.__len__,
        _run_exitfuncs=system.run_exit_handlers,
        __spec__=sys.modules["atexit"].__spec__,
    )
    return private
