"""pyrsistent>=0.19"""

import collections.abc

import pyrsistent


def use():
    things = pyrsistent.pvector([1, 2]).append(3)
    assert isinstance(things, collections.abc.Sequence)
    return f"{things} {pyrsistent.freeze({'a': [1]})}"
