from __future__ import annotations

import typing

import things


class Holder:
    thing: things.Thing
    many: typing.Optional[typing.List[things.Special]]  # noqa: UP006, UP045


class Child(Holder):
    own: things.Thing

    def method(self, one: things.Thing) -> Holder: ...


class Row(typing.NamedTuple):
    thing: things.Thing


def run(turn):
    hints = typing.get_type_hints(Child)
    assert hints["own"] is things.Thing and hints["thing"] is things.Thing
    assert typing.get_type_hints(Child.method)["return"] is Holder
    assert typing.get_type_hints(Row)["thing"] is things.Thing
    reference = typing.ForwardRef("Thing", module="things")
    holder = typing.get_type_hints(type("X", (), {"__annotations__": {"a": reference}}))
    return f"{hints['own'].owner} {holder['a'].owner}"
