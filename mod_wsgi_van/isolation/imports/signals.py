"""Signals belong to the process, and their handlers run in its main thread.

A server runs applications in other threads. There a release's handlers are remembered and never
called, as mod_wsgi has it. In the main thread they are set, until it is given back.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import threading
from functools import partial
from typing import Any

from mod_wsgi_van.interpreter.leftovers import leave
from mod_wsgi_van.isolation.imports import strays
from mod_wsgi_van.isolation.imports.system import System, put

Names = dict[str, Any]


def _is_main() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def front(system: System, names: Names) -> None:
    """``_signal`` as a release sees it."""
    handlers: dict[int, Any] = {}
    wakeup = -1

    def signal(signalnum: int, handler: Any, /) -> Any:
        if _is_main():
            before = _signal.signal(signalnum, handler)
            if before is not None:
                leave(f"signal {signalnum}", partial(_signal.signal, signalnum, before))
            return before
        if not (callable(handler) or handler in (_signal.SIG_IGN, _signal.SIG_DFL)):
            raise TypeError(
                "signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object"
            )
        known = _signal.getsignal(signalnum)  # raises ValueError for what is no signal
        before, handlers[int(signalnum)] = handlers.get(int(signalnum), known), handler
        return before

    def getsignal(signalnum: int, /) -> Any:
        found = _signal.getsignal(signalnum)
        return found if _is_main() else handlers.get(int(signalnum), found)

    def set_wakeup_fd(fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        nonlocal wakeup
        if _is_main():
            now: int = _signal.set_wakeup_fd(fd, warn_on_full_buffer=warn_on_full_buffer)
            leave("wakeup", partial(_signal.set_wakeup_fd, now))
            return now
        before, wakeup = wakeup, fd
        return before

    def siginterrupt(signalnum: int, flag: bool, /) -> None:
        if _is_main():
            _signal.siginterrupt(signalnum, flag)

    def setitimer(which: int, seconds: float, interval: float = 0.0, /) -> Any:
        if not _is_main() and seconds:  # no handler is called, and without one the process ends
            raise ValueError("signal only works in main thread of the main interpreter")
        leave(f"timer {which}", partial(_signal.setitimer, which, 0))
        return _signal.setitimer(which, seconds, interval)

    def alarm(seconds: int, /) -> int:
        if not _is_main() and seconds:
            raise ValueError("signal only works in main thread of the main interpreter")
        leave(f"timer {_signal.ITIMER_REAL}", partial(_signal.alarm, 0))
        before: int = _signal.alarm(seconds)
        return before

    put(system, names, "_signal", signal, getsignal, set_wakeup_fd, siginterrupt)
    put(system, names, "_signal", setitimer, alarm)
    strays.signal_mask(system, names)
