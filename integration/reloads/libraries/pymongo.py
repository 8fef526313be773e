"""pymongo>=4.3"""

import datetime
import uuid

import bson
from bson import json_util


def use():
    document = {"a": [1, 2.5], "i": bson.ObjectId("0" * 24), "t": datetime.datetime(2026, 1, 1)}
    document["r"], document["l"] = bson.Regex("x"), bson.Int64(2)
    back = bson.decode(bson.encode(document))
    assert type(back["i"]) is bson.ObjectId and type(back["l"]) is bson.Int64
    assert type(back["r"]) is bson.Regex
    try:
        bson.decode(b"no")
    except bson.InvalidBSON as error:
        said = type(error).__name__
    try:
        bson.encode({"u": uuid.UUID(int=1)})
    except ValueError:
        said += " uuid"
    return f"{json_util.dumps(back)} {said}"
