"""What belongs to a release: found when it is retired, so that it can be freed alone.

Nothing is cleared by hand: objects of a release may outlive it in a thread, in a generator that is
still read from, in a record that a handler keeps, and what they refer to has to stay whole. The
collector knows what nobody refers to any more; here is found what it has to look at.
"""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from mod_wsgi_van.interpreter.collector import collector
from mod_wsgi_van.isolation.imports.contexts import forget_values
from mod_wsgi_van.isolation.imports.standins import genuine
from mod_wsgi_van.isolation.imports.system import System

_AT_ONCE = 500  # objects that are asked in one call, in which no other thread gets its turn
# More than that belongs to other releases too, or is left to a second without requests: to collect
# so much takes 0.1 s.
_MOST = 300_000


class Belongings:
    """Of one release that was retired; does not keep the release."""

    def __init__(self, system: System) -> None:
        self._system = weakref.ref(system)

    @property
    def gone(self) -> bool:
        return self._system() is None

    def free(self) -> None:
        collector.free(self._gather)

    def forget(self) -> None:
        """Make the server's threads forget what the release set in their contexts."""
        system = self._system()
        if system is not None:
            forget_values(system.context_variables)

    def _gather(self) -> list[Any]:
        """What can be reached from the release, but for what the daemon's modules define."""
        self.forget()
        system = self._system()
        if system is None:
            return []
        found: list[Any] = [system]
        seen = {id(system), *_shared()}
        done = 0
        while done < len(found) <= _MOST:
            part = found[done : done + _AT_ONCE]
            done += len(part)
            referents = gc.get_referents(*part)
            new = dict(zip(map(id, referents), referents, strict=True))
            for known in new.keys() & seen:
                del new[known]
            seen.update(new)
            found += filter(gc.is_tracked, new.values())
        return found if len(found) <= _MOST else []


def _shared() -> Iterator[int]:
    """The ids of the daemon's modules and of their names; asks no stand-in."""
    modules = [genuine(each) for each in list(sys.modules.values())]
    true = [each for each in modules if issubclass(type(each), ModuleType)]
    names = [object.__getattribute__(each, "__dict__") for each in true]
    return map(id, itertools.chain(modules, names))
