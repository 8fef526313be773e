import functools
import inspect

import things


@functools.singledispatch
def describe(value):
    return "anything"


@describe.register
def _(value: things.Special):
    return "special " + value.owner


@describe.register(things.Thing)
def _(value):
    return "thing " + value.owner


def run(turn):
    source = inspect.getsource(things.Thing)
    module = inspect.getmodule(things.Special)
    assert module.Special is things.Special
    frame = inspect.stack()[0]
    return (
        f"{len(source)} {describe(things.Special(1))} {describe(things.Thing(1))} {frame.function}"
    )
