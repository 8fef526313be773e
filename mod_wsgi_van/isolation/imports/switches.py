"""What the interpreter has one of, as the ``sys`` of a release offers it."""

from __future__ import annotations

import functools
import operator
import sys
import threading
from typing import Any

from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.system import System, put


def switches(system: System) -> None:
    """What a release sets is remembered; ``extensions`` loads with its flags of dlopen."""
    names = vars(system.sys)
    interval, flags = sys.getswitchinterval(), sys.getdlopenflags()

    def setswitchinterval(seconds: float, /) -> None:
        nonlocal interval
        if seconds <= 0:
            raise ValueError("switch interval must be strictly positive")
        interval = float(seconds)

    def getswitchinterval() -> float:
        return interval

    def setdlopenflags(new: int, /) -> None:
        nonlocal flags
        flags = operator.index(new)

    def getdlopenflags() -> int:
        return flags

    def addaudithook(hook: Any, /) -> None:
        """The real one would keep the hook, and so the release, until the process ends."""
        sys.audit("sys.addaudithook")
        system.audit_hooks.append(hook)
        _audit()

    put(system, names, "sys", setswitchinterval, getswitchinterval, setdlopenflags, getdlopenflags)
    put(system, names, "sys", addaudithook)


@functools.cache
def _audit() -> None:
    """From now on each release's hooks are told what the release does."""
    local = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if hasattr(local, "busy"):
            return
        local.busy = True  # to look at frames raises events itself
        try:
            system = asking(2)
        finally:
            del local.busy
        if system is not None:
            for each in system.audit_hooks:
                each(event, arguments)

    sys.addaudithook(hook)
