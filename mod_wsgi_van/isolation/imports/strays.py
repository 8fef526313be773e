"""Private functions in front of what C code keeps by thread: see interpreter.leftovers."""

from __future__ import annotations

import _decimal
import _signal  # type: ignore[import-not-found]
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from mod_wsgi_van.interpreter.leftovers import forget, leave
from mod_wsgi_van.isolation.imports.system import MARK, System, put

Names = dict[str, Any]
_OURS = __file__.rpartition("/")[0] + "/"


def sys_state(system: System) -> None:
    """``sys``: trace and profile functions see this release's frames, and no others."""
    names = vars(system.sys)
    _tracing(system, names, "trace", sys.settrace, sys.gettrace)
    _tracing(system, names, "profile", sys.setprofile, sys.getprofile)

    def set_asyncgen_hooks(*hooks: Any, **named: Any) -> None:
        sys.set_asyncgen_hooks(*hooks, **named)
        if any(sys.get_asyncgen_hooks()):
            leave("asyncgen", partial(sys.set_asyncgen_hooks, None, None))
        else:
            forget("asyncgen")

    def set_coroutine_origin_tracking_depth(depth: int) -> None:
        sys.set_coroutine_origin_tracking_depth(depth)
        if depth:
            leave("origin", partial(sys.set_coroutine_origin_tracking_depth, 0))
        else:
            forget("origin")

    put(system, names, "sys", set_asyncgen_hooks, set_coroutine_origin_tracking_depth)


def _tracing(
    system: System,
    names: Names,
    kind: str,
    change: Callable[[Any], None],
    current: Callable[[], Any],
) -> None:
    class Own:
        """What the interpreter calls in place of a function of the release."""

        def __init__(self, function: Any) -> None:
            self.function = function

        def __call__(self, frame: Any, event: str, argument: Any) -> Any:
            ours = frame.f_code.co_filename.startswith(_OURS)
            if ours or frame.f_builtins.get(MARK) is not system:
                return None
            return self.function(frame, event, argument)

    def set_function(function: Any, /) -> None:
        if function is None:
            change(None)
            forget(kind)
        else:
            change(Own(function))
            leave(kind, partial(change, None))

    def get_function() -> Any:
        function = current()
        return function.function if type(function) is Own else function

    set_function.__name__, get_function.__name__ = f"set{kind}", f"get{kind}"
    put(system, names, "sys", set_function, get_function)
    if (in_all := f"_set{kind}allthreads") in names:  # from Python 3.12 on, of all releases too
        names[in_all] = names[f"set{kind}"]


def decimal(system: System, names: Names) -> None:
    """Contexts: one for each thread, made from a default that C code keeps for all."""
    templates = ("DefaultContext", "BasicContext", "ExtendedContext")
    names.update({name: names[name].copy() for name in templates})
    own = [names[name] for name in templates]
    default, untouched = names["DefaultContext"], repr(names["DefaultContext"])

    def begin() -> None:
        new = leave("decimal", partial(_decimal.setcontext, _decimal.DefaultContext))
        if new and repr(default) != untouched:
            _decimal.setcontext(default.copy())

    def getcontext() -> Any:
        begin()
        return _decimal.getcontext()

    def setcontext(context: Any, /) -> None:
        begin()
        if any(context is each for each in own):  # as C code does with those that it knows
            context = context.copy()
            context.clear_flags()
        _decimal.setcontext(context)

    put(system, names, "decimal", getcontext, setcontext)


def running_loop(system: System, names: Names) -> None:
    change = names["_set_running_loop"]

    def _set_running_loop(loop: Any, /) -> None:
        change(loop)
        if loop is None:
            forget("loop")
        else:
            leave("loop", partial(change, None))

    put(system, names, "_asyncio", _set_running_loop)


def signal_mask(system: System, names: Names) -> None:
    def pthread_sigmask(how: int, mask: Any, /) -> Any:
        before = _signal.pthread_sigmask(how, mask)
        leave("mask", partial(_signal.pthread_sigmask, _signal.SIG_SETMASK, before))
        return before

    put(system, names, "_signal", pthread_sigmask)


def errno(system: System, names: Names) -> None:
    """The errno that ``ctypes`` keeps for the functions of ``use_errno``."""
    change = names["set_errno"]

    def set_errno(value: int, /) -> int:
        leave("errno", partial(change, 0))
        before: int = change(value)
        return before

    put(system, names, "_ctypes", set_errno)


def profiler(system: System, names: Names) -> None:
    real = names["Profiler"]

    class Profiler(real):  # type: ignore[misc,valid-type]
        __module__ = "_lsprof"

        def enable(self, *arguments: Any, **named: Any) -> None:
            super().enable(*arguments, **named)
            leave("profiler", super().disable)

        def disable(self) -> None:
            super().disable()
            forget("profiler")

    Profiler.__qualname__ = "Profiler"
    names["Profiler"] = Profiler
