from __future__ import annotations

import dataclasses
import typing

from things import Thing


def make():
    @dataclasses.dataclass
    class Local:
        shared: typing.ClassVar[int] = 1
        thing: Thing = dataclasses.field(default_factory=lambda: Thing(3))

    return Local


def run(turn):
    kind = make()
    names = [field.name for field in dataclasses.fields(kind)]
    hints = typing.get_type_hints(kind)
    assert hints["thing"] is Thing
    return f"{names} {kind().thing.owner} {hints['thing'].owner}"
