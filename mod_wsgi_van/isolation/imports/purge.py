"""Make what all releases share forget a retired one.

Releases retire in threads of their own, many at once, while others load. So every step here takes
a copy of a table before it looks through it, and removes what another thread may have removed.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable

from mod_wsgi_van.isolation.imports.limits import forget_limits
from mod_wsgi_van.isolation.imports.monitoring import forget_tools
from mod_wsgi_van.isolation.imports.system import System

Report = Callable[[str], None]


def purge(system: System, report: Report) -> None:
    """Undo what code of the release registered; ``report`` logs the exception being handled."""
    for forget in (_registries, _prototypes, _lines, forget_tools, forget_limits):
        try:
            forget(system)
        except Exception:
            report(f"cannot forget {forget.__name__.strip('_')}")


def _registries(system: System) -> None:
    """What this process would go on asking while a thread runs code of the release."""
    for registered in (system.codecs, system.collections, system.audit_hooks):
        system.purged += registered
        registered.clear()
    for known in (system.codecs_found, system.error_handlers):
        system.purged += known.values()
        known.clear()


def _prototypes(system: System) -> None:
    """Up to Python 3.12 the collector does not see what the type of a C function refers to.

    What stands there of ctypes itself must not lead to the release.
    """
    ctypes = dict.get(system.modules, "ctypes")
    if ctypes is not None and sys.version_info < (3, 13):
        for name in ("py_object", "c_char_p", "c_wchar_p"):
            kind = vars(ctypes).get(name)
            if isinstance(kind, type) and "__repr__" in vars(kind):
                del kind.__repr__


def _lines(system: System) -> None:
    """The daemon's ``linecache`` keeps the source of what stood in a traceback that it wrote."""
    files = {getattr(module, "__file__", None) for module in list(system.modules.values())}
    for name in list(linecache.cache):
        if name in files:
            linecache.cache.pop(name, None)
