"""propcache>=0.2"""

from propcache.api import cached_property, under_cached_property

OPTIONAL = "properties"  # what its compiled part makes faster


class Thing:
    def __init__(self):
        self._cache = {}

    @under_cached_property
    def under(self):
        return [1]

    @cached_property
    def plain(self):
        return [2]


def use():
    thing = Thing()
    assert thing.under is thing.under and thing.plain is thing.plain
    return f"{thing.under} {thing._cache}"
