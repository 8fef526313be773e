"""rpds-py>=0.10"""

import collections.abc

from rpds import HashTrieMap, HashTrieSet, List


def use():
    things = HashTrieMap({"a": 1}).insert("b", 2)
    assert isinstance(things, collections.abc.Mapping)
    return f"{sorted(things.items())} {List([1, 2])} {HashTrieSet(['c'])}"
