"""cbor2>=5.4"""

import datetime
import decimal
import uuid

import cbor2


def use():
    values = {"d": decimal.Decimal("1.5"), "u": uuid.UUID(int=1)}
    values["t"] = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    back = cbor2.loads(cbor2.dumps(values))
    assert type(back["u"]) is uuid.UUID
    try:
        cbor2.loads(b"\x9f")
    except cbor2.CBORDecodeError as error:
        return f"{sorted(map(str, back.values()))} {type(error).__name__}"
