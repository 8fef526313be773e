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
_KEPT_AT_MOST = 256  # FI_FREELIST_MAXLEN of _asynciomodule.c, and one


class Belongings:
    """Of one release that was retired; does not keep the release."""

    def __init__(self, system: System) -> None:
        self._system = weakref.ref(system)

    @property
    def gone(self) -> bool:
        return self._system() is None

    def free(self) -> None:
        """Free it alone; from Python 3.13 on a full collection does.

        C modules there tell of objects that they have freed already, see ``_asyncio``, and not all
        of them are known: a collection that never ended was seen after some Django releases.
        """
        if sys.version_info < (3, 13):
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
        apart = _asyncio(system)
        found: list[Any] = [system, *filter(gc.is_tracked, apart[1:])]
        seen = {*map(id, found), *map(id, apart), *_shared()}
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
        return [*found, *apart[:1]] if len(found) <= _MOST else []


def _asyncio(system: System) -> list[Any]:
    """The module ``_asyncio`` and what it refers to, where it cannot be asked like others.

    In Python 3.12 and 3.13 it tells of objects that it has freed and keeps to use again. Whoever is
    told of one frees it once more, and the next collection never ends. So they are in use here.
    """
    module = dict.get(system.modules, "_asyncio")
    if module is None or not (3, 12) <= sys.version_info < (3, 14):
        return []
    future = module.Future(loop=_Loop())
    in_use = [iter(future) for _ in range(_KEPT_AT_MOST)]
    told = gc.get_referents(module)
    del in_use
    return [module, *told]


class _Loop:
    """What a future wants of an event loop."""

    def get_debug(self) -> bool:
        return False


def _shared() -> Iterator[int]:
    """The ids of the daemon's modules and of their names; asks no stand-in."""
    modules = [genuine(each) for each in list(sys.modules.values())]
    true = [each for each in modules if issubclass(type(each), ModuleType)]
    names = [object.__getattribute__(each, "__dict__") for each in true]
    return map(id, itertools.chain(modules, names))
