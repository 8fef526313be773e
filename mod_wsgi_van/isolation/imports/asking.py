"""Which release is asking: the nearest frame that runs with a release's private builtins.

Nothing is stored per thread or per request: the call stack itself is the context, so the answer
is right in any thread, generator, coroutine, callback or finalizer, also while it is streamed.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

from mod_wsgi_van.isolation.imports.system import MARK, Caller, System, caller


def asking(
    depth: int = 1, *, _frame: Callable[[int], Any] = sys._getframe, _mark: str = MARK
) -> System | None:
    """The System on whose behalf the caller runs; None when the daemon itself does.

    What it needs is bound to arguments: stand-ins call it while the interpreter shuts down, when
    the globals of a module are gone.
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


# Calls on behalf of nobody, whatever release stands further up the stack: a shared module that is
# loaded because a vhost needs it must not keep anything of that vhost.
unasked: Caller = caller({**vars(builtins), MARK: None})
