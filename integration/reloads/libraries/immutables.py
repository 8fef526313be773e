"""immutables>=0.19"""

import collections.abc

import immutables


def use():
    things = immutables.Map(a=1).set("b", 2)
    assert isinstance(things, collections.abc.Mapping)
    return f"{sorted(things.items())}"
