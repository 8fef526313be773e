"""Which routers the scripts of this process have made.

A server may load a script again in place, as mod_wsgi does in embedded mode when the file was
touched. What the script made before would go on for ever: threads, an inotify instance, workers.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

_PACKAGE = __name__.partition(".")[0]

End = Callable[[], None]


class Scripts:
    """Ends the routers of a script's former execution. ``_lock`` guards ``_made``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Script and base path -> the globals of the script's last execution, and how to end what
        # that made. One execution may make several routers: they have the same globals.
        self._made: dict[tuple[str, str], tuple[Any, list[weakref.WeakMethod[End]]]] = {}

    def made(self, base_path: str, end: End) -> None:
        """The calling script has made a router; ``end`` is a bound method and must not block."""
        names = _globals_of_script(sys._getframe(1))
        if names is None:
            return
        key = names["__file__"], base_path
        reference = weakref.WeakMethod(end)
        with self._lock:
            known, former = self._made.get(key, (None, []))
            if known is names:
                former[:] = [*(each for each in former if each() is not None), reference]
                return
            self._made[key] = names, [reference]
        for each in former:
            if (found := each()) is not None:
                found()


def _globals_of_script(frame: FrameType | None) -> dict[str, Any] | None:
    """Those of the nearest caller outside of this package; None where it is no file."""
    while frame is not None:
        names = frame.f_globals
        if str(names.get("__name__")).partition(".")[0] != _PACKAGE:
            return names if isinstance(names.get("__file__"), str) else None
        frame = frame.f_back
    return None


scripts = Scripts()
