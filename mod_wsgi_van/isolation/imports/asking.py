"""Which release is asking: the nearest frame that runs with a release's private builtins.

Nothing is stored per thread or per request: the call stack itself is the context, so the answer
is right in any thread, generator, coroutine, callback or finalizer, also while it is streamed.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mod_wsgi_van.isolation.imports.system import System

# The name in a private builtins dictionary under which its System stands.
MARK = "__mod_wsgi_van_release__"

Builtins = dict[str, Any]
Caller = Callable[..., Any]


def asking(
    depth: int = 1,
    *,
    _frame: Callable[[int], Any] = sys._getframe,
    _mark: str = MARK,
) -> System | None:
    """The System on whose behalf the caller runs; None when the daemon itself does.

    Bound to its arguments because stand-ins call it while the interpreter shuts down.
    """
    try:
        frame = _frame(depth)
    except ValueError:  # called by C code in a thread of its own: no Python frame at all
        return None
    while frame is not None:
        names = frame.f_builtins
        if _mark in names:
            found: System | None = names[_mark]
            return found
        frame = frame.f_back
    return None


def _call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def caller(names: Builtins) -> Caller:
    """A function that calls its first argument from a frame with these builtins."""
    return FunctionType(_call.__code__, {"__builtins__": names, "__name__": __name__}, "_call")


# Calls on behalf of nobody, whatever release stands further up the stack: a shared module that is
# loaded because a vhost needs it must not keep anything of that vhost.
unasked: Caller = caller({**vars(builtins), MARK: None})
