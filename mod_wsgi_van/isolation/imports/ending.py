"""The end of a release: what it has started ends as at the end of a program, with limits of time.

CPython's order: what was registered with ``threading._register_atexit`` runs, last first; threads
that are no daemons are waited for; ``atexit`` runs its handlers, last first. Timers, daemon threads
and children of a program then go with its process; here they are told, and waited for.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, MethodType
from typing import Any

from mod_wsgi_van.isolation.imports.system import System

_log = logging.getLogger(__name__)

Report = Callable[[str], None]

_LOOK = 0.02  # seconds between two looks whether threads have ended

# Helper processes, which end when they are stopped: who has one -> its name there.
_HELPERS = (
    ("multiprocessing.forkserver", "_forkserver"),
    ("loky.backend.resource_tracker", "_resource_tracker"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker"),
    ("multiprocessing.resource_tracker", "_resource_tracker"),
)


class Ending:
    """Ends one release, from one thread.

    Each step may take ``limit`` seconds, and so may all waiting for threads; ``report`` logs the
    exception being handled. With ``patient`` False the process ends as well, and daemon threads
    with it.
    """

    def __init__(
        self, system: System, limit: float, report: Report, *, patient: bool = True
    ) -> None:
        self._system = system
        self._limit = limit
        self._left = limit  # seconds
        self._report = report
        self._patient = patient
        self._steps: list[tuple[str, threading.Thread]] = []  # that were not over in time

    def run(self) -> list[str]:
        """Return what goes on: threads, and handlers that do not come to an end."""
        private = self._module("threading")
        if private is not None:
            private._SHUTTING_DOWN = True
            for handler in reversed(list(getattr(private, "_threading_atexits", ()))):
                self._step(handler)
            self._wait(lambda thread: not thread.daemon)
        finalizers = self._finalizers()
        while self._system.exit_handlers:
            function, args, kwargs = self._system.exit_handlers.pop()
            self._step(function, *args, **kwargs)
        self._stop_listeners()
        self._stop_children()
        if self._patient:
            self._wait(lambda thread: True)
        names = [name for name, step in self._steps if step.is_alive()]
        names += [_label(thread, ident) for ident, thread in self._threads().items()]
        if not names:
            self._let_go(finalizers)
        return names

    def _module(self, name: str) -> Any:
        return dict.get(self._system.modules, name)

    def _step(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Call code of the release, in a thread that is left behind when its time is over."""

        def run() -> None:
            try:
                self._system.call(function, *args, **kwargs)
            except BaseException:  # an exit handler may well exit
                self._report("an exit handler failed")

        name = f"van-end-{self._system.host}"
        thread = threading.Thread(target=run, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread to be had, or the interpreter is ending
            run()
            return
        thread.join(self._limit)
        if thread.is_alive():
            self._steps.append((f"exit handler {_name_of(function)}", thread))

    def _wait(self, which: Callable[[Any], bool]) -> None:
        """Wait for threads of the release. Those that wait for a time to come need not any more."""
        began = time.monotonic()
        timer = getattr(self._module("threading"), "Timer", ())
        while threads := [each for each in self._threads().values() if each and which(each)]:
            for each in threads:
                if isinstance(each, timer):
                    each.cancel()
            if time.monotonic() - began >= self._left:
                break
            time.sleep(_LOOK)
        self._left = max(0.0, self._left - (time.monotonic() - began))

    def _threads(self) -> dict[int, Any]:
        """The threads that the release has started, by ident; None for one of no Thread object."""
        if self._module("_thread") is None:
            return {}
        known = dict(getattr(self._module("threading"), "_active", {}))
        return {
            ident: known.get(ident)
            for ident, frames in sys._current_frames().items()
            if self._runs([*_callers(frames)][-1:])
        }

    def _runs(self, frames: list[FrameType]) -> bool:
        return any(frame.f_builtins is self._system.builtins for frame in frames)

    def _stop_listeners(self) -> None:
        """Those of ``logging`` wait in a queue for ever."""
        kind = getattr(self._module("logging.handlers"), "QueueListener", ())
        for thread in self._threads().values():
            listener = getattr(getattr(thread, "_target", None), "__self__", None)
            if isinstance(listener, kind):
                self._step(listener.stop)

    def _stop_children(self) -> None:
        children = [
            child
            for child in list(getattr(self._module("multiprocessing.process"), "_children", ()))
            if child._parent_pid == os.getpid()  # else this process was forked from theirs
        ]
        if children:
            self._step(_end, children, self._limit / 2)
            for _, step in self._steps:  # it may have waited for them
                step.join(self._limit / 2)
            _log.warning(
                "%s: VAN010: child processes did not end by themselves and were ended: %s; let a"
                " function registered with atexit end them",
                self._system.host,
                ", ".join(f"{child.name} ({child.pid})" for child in children),
            )
        for module, name in _HELPERS:
            helper: Any = getattr(self._module(module), name, None)
            if hasattr(helper, "_stop"):
                self._step(_stop, helper)

    def _finalizers(self) -> list[Any]:
        """Those of multiprocessing. Its exit handler forgets some, which close descriptors."""
        util = self._module("multiprocessing.util")
        return list(getattr(util, "_finalizer_registry", {}).values())

    def _let_go(self, finalizers: list[Any]) -> None:
        """What the garbage collector would not do where all of a release is garbage at once."""
        for each in finalizers:
            if each._callback is not None and each._pid == os.getpid():
                self._step(each._callback, *each._args, **each._kwargs)
        connections = list(self._system.connections.values())
        if connections and not any(map(self._runs, _stacks())):  # else a request may use one
            for connection in connections:
                self._step(_close, connection)


def _stacks() -> Iterator[list[FrameType]]:
    for frame in list(sys._current_frames().values()):
        yield [*_callers(frame)]


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _label(thread: Any, ident: int) -> str:
    return f"thread {getattr(thread, '_name', ident)!r}"


def _name_of(function: Any) -> str:
    """Asks nothing that code of the release would answer."""
    while type(function) in (functools.partial, MethodType):
        function = function.func if type(function) is functools.partial else function.__func__
    if type(function) is FunctionType:
        return f"{function.__module__}.{function.__qualname__}"
    return type(function).__name__


def _end(children: list[Any], timeout: float) -> None:
    """End children of multiprocessing that exit handlers have left."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + timeout
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
        if child.exitcode is None:
            child.kill()
            child.join()


def _stop(helper: Any) -> None:
    with contextlib.suppress(FileNotFoundError):  # its socket, whose directory is gone already
        helper._stop()


def _close(connection: Any) -> None:
    """Close a connection of sqlite3: the garbage collector does not see the callbacks that it has.

    It may be closed by the thread alone that made it. So it is made again, for any thread, which
    closes what it had.
    """
    kind: Any = [each for each in type(connection).__mro__ if each.__module__ == "sqlite3"][-1]
    kind.__init__(connection, ":memory:", check_same_thread=False)
    kind.close(connection)
