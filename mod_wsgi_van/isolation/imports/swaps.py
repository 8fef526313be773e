"""Private functions in front of state of the process that can be another for the time of a call.

The state is changed, the function called and the state put back by C code alone: no bytecode runs
in between, so no other thread gets its turn.
"""

from __future__ import annotations

import _locale
import _thread
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mod_wsgi_van.isolation.imports.system import System, put

Names = dict[str, Any]
Step = Callable[[], Any]


def during(before: Sequence[Step], call: Step, after: Sequence[Step]) -> Any:
    """The result of ``call``, between the others."""
    steps = iter([*before, call, *after])
    try:
        return list(map(operator.call, steps))[len(before)]
    except BaseException:
        list(map(operator.call, after))
        raise


def _inside(system: System, call: Step) -> Any:
    """``call`` with the locale of the release."""
    if not system.locale:
        return call()
    before = partial(_locale.setlocale, _locale.LC_ALL, _locale.setlocale(_locale.LC_ALL))
    return during([partial(_locale.setlocale, *each) for each in system.locale], call, [before])


def locale(system: System, names: Names) -> None:
    """The locale that a release sets is there while it calls a function that depends on it."""

    def setlocale(category: int, locale: Any = None, /) -> str:
        if locale is None:
            return str(_inside(system, partial(_locale.setlocale, category)))
        known = [each for each in system.locale if category not in (each[0], _locale.LC_ALL)]
        before = partial(_locale.setlocale, _locale.LC_ALL, _locale.setlocale(_locale.LC_ALL))
        sets = [partial(_locale.setlocale, *each) for each in known]
        found: str = during(sets, partial(_locale.setlocale, category, locale), [before])
        system.locale[:] = [*known, (category, found)]
        return found

    put(system, names, "_locale", setlocale)
    for name in ("localeconv", "strcoll", "strxfrm", "nl_langinfo", "getencoding"):
        if name in names:
            _call_inside(system, names, "_locale", name)


def clock(system: System, names: Names) -> None:
    """``time.strftime`` writes names of days and months."""
    _call_inside(system, names, "time", "strftime")


def _call_inside(system: System, names: Names, module: str, name: str) -> None:
    original = names[name]

    def function(*arguments: Any) -> Any:
        return _inside(system, partial(original, *arguments))

    function.__name__, function.__doc__ = name, original.__doc__
    put(system, names, module, function)


def stack_size(system: System, names: Names) -> None:
    """Of the threads that the release starts."""
    own = 0

    def stack_size(size: int = 0, /) -> int:
        nonlocal own
        now = _thread.stack_size()
        # Raises what the real function raises.
        during([], partial(_thread.stack_size, size), [partial(_thread.stack_size, now)])
        before, own = own, size
        return before

    def starting(name: str) -> None:
        start = names[name]

        def function(*arguments: Any, **named: Any) -> Any:
            call = partial(start, *arguments, **named)
            if not own:
                return call()
            now = partial(_thread.stack_size, _thread.stack_size())
            return during([partial(_thread.stack_size, own)], call, [now])

        function.__name__ = name
        put(system, names, "_thread", function)

    for name in ("start_new_thread", "start_joinable_thread"):
        if name in names:
            starting(name)
    names["start_new"] = names["start_new_thread"]
    put(system, names, "_thread", stack_size)
