"""pydantic-core>=2.14 pydantic>=2.5,<2.11
pydantic-core>=2.33 pydantic>=2.11
"""

import datetime
import decimal
import enum
import pathlib
import uuid

import pydantic


class Colour(enum.Enum):
    RED = "red"


class Thing(pydantic.BaseModel):
    name: str
    colour: Colour
    key: uuid.UUID
    price: decimal.Decimal
    path: pathlib.Path
    day: datetime.date
    parts: list["Thing"] = []


def use():
    values = {
        "name": "a",
        "colour": "red",
        "key": str(uuid.UUID(int=1)),
        "price": "1.10",
        "path": "/tmp",
        "day": "2026-01-01",
    }
    thing = Thing(**values, parts=[values])
    assert type(thing.key) is uuid.UUID and thing.colour is Colour.RED
    assert isinstance(thing.path, pathlib.Path) and type(thing.parts[0]) is Thing
    try:
        Thing(name=1)
    except pydantic.ValidationError as error:
        said = error.error_count()
    return f"{thing.model_dump_json()} {said}"
