"""wrapt>=1.15,<2
wrapt>=2
"""

import inspect

import wrapt

OPTIONAL = "proxies"  # what its compiled part makes faster


@wrapt.decorator
def twice(wrapped, instance, args, kwargs):
    return 2 * wrapped(*args, **kwargs)


@twice
def three():
    return 3


def use():
    proxy = wrapt.ObjectProxy([1])
    proxy.append(2)
    assert isinstance(proxy, list) and inspect.isfunction(three)
    return f"{proxy} {three()} {proxy == [1, 2]}"
