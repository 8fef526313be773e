"""msgpack>=1.0"""

import datetime

import msgpack


def use():
    stamp = msgpack.Timestamp(1)
    packed = msgpack.packb({"a": [1, 2.5], "t": stamp})
    try:
        msgpack.unpackb(b"\xc1")
    except msgpack.exceptions.FormatError as error:
        said = type(error) is msgpack.exceptions.FormatError
    back = msgpack.unpackb(packed)
    assert type(back["t"]) is msgpack.Timestamp
    when = msgpack.unpackb(packed, timestamp=3)["t"]
    assert isinstance(when, datetime.datetime)
    return f"{back['a']} {when} {said}"
