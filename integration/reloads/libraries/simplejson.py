"""simplejson>=3.17
simplejson>=3.20
"""

import collections
import decimal

import simplejson


def use():
    Point = collections.namedtuple("Point", "x y")
    try:
        simplejson.loads("{")
    except simplejson.JSONDecodeError as error:
        said = str(error)
    values = {"a": [1.5, None, "b"], "p": Point(1, 2), "d": decimal.Decimal("1.10")}
    return f"{simplejson.dumps(values)} {simplejson.loads('[1.0]', use_decimal=True)} {said}"
