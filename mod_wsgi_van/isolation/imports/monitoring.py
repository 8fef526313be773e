"""``sys.monitoring``, from Python 3.12 on: the interpreter tells six tools of all code that runs.

A tool of a release is told of the release's code alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.imports.system import MARK, System, put

_real: Any = getattr(sys, "monitoring", None)


class Told:
    """What the interpreter calls in place of a function of a release."""

    __slots__ = ("function", "system")

    def __init__(self, system: System, function: Callable[..., Any]) -> None:
        self.system = system
        self.function = function

    def __call__(
        self,
        *arguments: Any,
        _frame: Callable[[int], Any] = sys._getframe,  # the globals go before the interpreter
        _mark: str = MARK,
    ) -> Any:
        if _frame(1).f_builtins.get(_mark) is self.system:
            return self.function(*arguments)
        return None


def prepare(system: System) -> None:
    if _real is None:
        return
    view = ModuleType(_real.__name__, _real.__doc__)
    names = vars(view)
    names.update(vars(_real))

    def use_tool_id(tool_id: int, name: str, /) -> None:
        _real.use_tool_id(tool_id, name)
        system.tools.add(tool_id)

    def free_tool_id(tool_id: int, /) -> None:
        _real.free_tool_id(tool_id)
        system.tools.discard(tool_id)

    def register_callback(tool_id: int, event: int, function: Any, /) -> Any:
        own = None if function is None else Told(system, function)
        before = _real.register_callback(tool_id, event, own)
        return getattr(before, "function", before)

    put(system, names, _real.__name__, use_tool_id, free_tool_id, register_callback)
    vars(system.sys)["monitoring"] = view


def forget_tools(system: System) -> None:
    """Free the tools of a release that has ended."""
    while system.tools:
        tool = system.tools.pop()
        _real.set_events(tool, 0)
        for event in vars(_real.events).values():
            if event.bit_count() == 1:
                _real.register_callback(tool, event, None)
        _real.free_tool_id(tool)
