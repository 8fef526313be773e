"""Signals belong to the process: what a release asks for is remembered, and changes nothing."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from typing import Any

from mod_wsgi_van.isolation.imports import strays
from mod_wsgi_van.isolation.imports.system import System, put

Names = dict[str, Any]


def front(system: System, names: Names) -> None:
    """As under mod_wsgi, which lets no application have a handler."""
    handlers: dict[int, Any] = {}
    wakeup = -1

    def signal(signalnum: int, handler: Any, /) -> Any:
        if not (callable(handler) or handler in (_signal.SIG_IGN, _signal.SIG_DFL)):
            raise TypeError(
                "signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object"
            )
        before = getsignal(signalnum)
        handlers[int(signalnum)] = handler
        return before

    def getsignal(signalnum: int, /) -> Any:
        found = _signal.getsignal(signalnum)  # raises ValueError for what is no signal
        return handlers.get(int(signalnum), found)

    def set_wakeup_fd(fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        nonlocal wakeup
        before, wakeup = wakeup, fd
        return before

    def siginterrupt(signalnum: int, flag: bool, /) -> None:
        """See above."""

    def setitimer(which: int, seconds: float, interval: float = 0.0, /) -> tuple[float, float]:
        if seconds:  # no handler would be called, and the process end
            raise ValueError("signal only works in main thread of the main interpreter")
        return (0.0, 0.0)

    def alarm(seconds: int, /) -> int:
        setitimer(0, seconds)
        return 0

    put(system, names, "_signal", getsignal)
    getsignal = names["getsignal"]
    put(system, names, "_signal", signal, set_wakeup_fd, siginterrupt, setitimer)
    setitimer = names["setitimer"]
    put(system, names, "_signal", alarm)
    strays.signal_mask(system, names)
