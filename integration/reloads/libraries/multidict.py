"""multidict>=5.1
multidict>=6.1
"""

import collections.abc

from multidict import CIMultiDict, MultiDict, MultiDictProxy, istr

OPTIONAL = "headers"  # what its compiled part makes faster


def use():
    headers = CIMultiDict([("A", "1"), ("a", "2")])
    assert isinstance(headers, collections.abc.Mapping) and issubclass(istr, str)
    proxy = MultiDictProxy(MultiDict(headers))
    return f"{headers.getall('A')} {proxy['A']} {sorted(proxy.items())} {headers!r}"
