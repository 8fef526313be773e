"""Which release is asking: the one whose builtins the nearest Python frame has.

Nothing is stored per thread or per request. All Python code that runs for a release is its own, the
standard library included, so C code that needs to know looks at the frame that called it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from mod_wsgi_van.isolation.imports.internals import BOOTSTRAP_FILE
from mod_wsgi_van.isolation.imports.system import MARK, System


def asking(
    depth: int = 1,
    *,
    _frame: Callable[[int], Any] = sys._getframe,
    _mark: str = MARK,
    _passed: str = BOOTSTRAP_FILE,
) -> System | None:
    """The System whose code runs in the frame ``depth`` above this one; None when it is another's.

    Frames of the real importlib are passed over: C code imports through it for a release. What the
    function needs is bound to arguments: stand-ins call it while the interpreter shuts down, when
    the globals of a module are gone.
    """
    try:
        frame = _frame(depth)
    except ValueError:  # called by C code in a thread of its own: no Python frame at all
        return None
    while frame is not None:
        found: System | None = frame.f_builtins.get(_mark)
        if found is not None or frame.f_code.co_filename != _passed:
            return found
        frame = frame.f_back
    return None
