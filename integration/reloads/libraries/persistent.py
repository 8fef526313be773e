"""persistent>=5.0"""

import persistent
from persistent.mapping import PersistentMapping


class Thing(persistent.Persistent):
    pass


def use():
    thing = Thing()
    thing.a = PersistentMapping({"b": 1})
    return f"{thing._p_changed} {dict(thing.a)}"
