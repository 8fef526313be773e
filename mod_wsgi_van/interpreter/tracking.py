"""Moves objects into the garbage collector's youngest generation, out of what is frozen too.

``gc.unfreeze()`` lets go of all that is frozen or of nothing. C code has more: an object that is
untracked and tracked again stands in the youngest generation, wherever it stood before. Both are
functions of CPython's public C interface.
"""

from __future__ import annotations

import collections
import ctypes
import gc
from collections.abc import Iterable, Iterator
from typing import Any

_AT_ONCE = 1000  # objects that are moved before another thread may get its turn


def _function(name: str) -> Any:
    """Not ``ctypes.pythonapi``'s own: applications may give that one other types."""
    function = ctypes.PyDLL(None)[name]  # keeps the GIL while it runs
    function.argtypes, function.restype = [ctypes.c_void_p], None
    return function


try:
    _untrack, _track = _function("PyObject_GC_UnTrack"), _function("PyObject_GC_Track")
except (OSError, AttributeError):  # the Python is linked in a way that hides its functions
    _untrack = None


def rejuvenate(objects: list[Any]) -> None:
    """Move ``objects``, as far as the collector tracks them, while the caller keeps them alive."""
    if _untrack is None:
        return
    for part in _parts(map(id, filter(gc.is_tracked, objects))):
        # In one call of C code: nobody may track an object in between, for whoever tracks what is
        # tracked ends the process.
        collections.deque(zip(map(_untrack, part), map(_track, part), strict=True), maxlen=0)


def _parts(addresses: Iterable[int]) -> Iterator[list[int]]:
    addresses = list(addresses)
    for start in range(0, len(addresses), _AT_ONCE):
        yield addresses[start : start + _AT_ONCE]
