"""Takes garbage apart piece by piece, so that other threads get their turns meanwhile.

A collection frees what it found before any other thread goes on, and that takes several times as
long as to find it. So what it finds is kept, and let go of here.
"""

from __future__ import annotations

import gc
import itertools
from types import FunctionType
from typing import Any

_AT_ONCE = 1000  # objects that are let go of before another thread may get its turn

_names_of = type.__dict__["__dict__"].__get__  # whatever a metaclass says


def unreachable() -> list[Any]:
    """Collect the youngest generation and return its garbage: its finalizers have run, its weak
    references are dead, and nobody else can reach it any more."""
    before, kept = gc.get_debug(), len(gc.garbage)
    gc.set_debug(before | gc.DEBUG_SAVEALL)
    try:
        gc.collect(0)
    finally:
        gc.set_debug(before)
    found = gc.garbage[kept:]
    del gc.garbage[kept:]
    return found


def dismantle(garbage: list[Any]) -> None:
    """Free nearly all of what ``unreachable`` returned; what is left takes another collection.

    Functions lose their globals last: an object that the collector does not track may still have a
    ``__del__`` to run.
    """
    classes = [each for each in garbage if issubclass(type(each), type)]
    # Python remembers what it looked up in a class until it is told of a change: their
    # dictionaries are not cleared behind its back.
    later = set(map(id, itertools.chain.from_iterable(map(gc.get_referents, classes))))
    spaces = [each.__globals__ for each in garbage if type(each) is FunctionType]
    own = set(map(id, garbage))
    spaces = [each for each in spaces if id(each) in own]
    later.update(map(id, spaces))
    for each in garbage:
        if type(each) in (dict, list, set) and id(each) not in later:
            each.clear()
    for one in classes:
        for name in list(_names_of(one)):
            _delete(one, name)
    while garbage:
        del garbage[-_AT_ONCE:]
    while spaces:
        spaces.pop().clear()


def _delete(one: type, name: str) -> None:
    if name[:2] != "__":  # others are slots of C code as well
        try:
            type.__delattr__(one, name)
        except (AttributeError, TypeError):  # a class of C code's
            pass
