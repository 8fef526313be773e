"""orjson>=3.8
orjson>=3.10
"""

import dataclasses
import datetime
import enum
import json
import uuid

import orjson


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Thing:
    colour: Colour
    key: uuid.UUID
    day: datetime.date


def use():
    try:
        orjson.loads("{")
    except json.JSONDecodeError as error:
        said = f"{type(error) is orjson.JSONDecodeError} {error}"
    thing = Thing(Colour.RED, uuid.UUID(int=1), datetime.date(2026, 1, 1))
    return f"{orjson.dumps(thing).decode()} {said}"
