"""ciso8601>=2.3"""

import datetime

import ciso8601


def use():
    found = ciso8601.parse_datetime("2026-01-02T03:04:05+02:00")
    assert isinstance(found, datetime.datetime)
    return f"{found} {found.tzinfo}"
