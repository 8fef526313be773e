"""frozenlist>=1.3"""

import collections.abc

import frozenlist

OPTIONAL = "lists"  # what its compiled part makes faster


def use():
    items = frozenlist.FrozenList([1, 2])
    items.freeze()
    assert isinstance(items, collections.abc.MutableSequence)
    try:
        items.append(3)
    except RuntimeError as error:
        return f"{items} {error}"
