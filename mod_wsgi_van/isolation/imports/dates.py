"""The methods of ``date`` and ``datetime`` that know the local time.

Each of these classes is one for the whole process, and asks C code for local time without anything
between. So the methods are replaced when the first release has a time zone of its own, in place: a
class of the release's own would not be that of objects which C code makes. For the daemon, and for
releases without a zone of their own, the methods do what they did.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.internals import change_class

_of_datetime, _of_date = dict(vars(datetime)), dict(vars(date))
fromtimestamp, timestamp = datetime.fromtimestamp, datetime.timestamp
_now, _astimezone, _replace = datetime.now, datetime.astimezone, datetime.replace


def _own_zone() -> Any:
    """That of the release whose code calls the method that calls this function."""
    system = asking(3)
    return None if system is None else system.zone


def _naive(kind: Any, at: datetime) -> Any:
    """As an instance of ``kind``, made as C code makes one of a class in Python."""
    if kind is datetime:
        return at.replace(tzinfo=None)
    made = kind(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, None)
    return made.replace(fold=1) if at.fold else made


def _fixed(moment: Any, zone: Any) -> timezone:
    """What holds in the zone at that moment."""
    at = fromtimestamp(timestamp(moment), zone)
    return timezone(at.utcoffset() or timedelta(), at.tzname() or "")


def _class_now(cls: Any, tz: Any = None) -> Any:
    if tz is not None or (zone := _own_zone()) is None:
        return _of_datetime["now"].__get__(None, cls)(tz)
    return _naive(cls, _now(zone))


def _class_fromtimestamp(cls: Any, timestamp: Any, tz: Any = None) -> Any:
    if tz is not None or (zone := _own_zone()) is None:
        return _of_datetime["fromtimestamp"].__get__(None, cls)(timestamp, tz)
    return _naive(cls, fromtimestamp(timestamp, zone))


def _own_astimezone(self: Any, tz: Any = None) -> Any:
    aware = self.utcoffset() is not None
    if (aware and tz is not None) or (zone := _own_zone()) is None:
        return _astimezone(self, tz)
    if not aware:
        self = _replace(self, tzinfo=zone)
    return _astimezone(self, _fixed(self, zone) if tz is None else tz)


def _own_timestamp(self: Any) -> float:
    if self.tzinfo is not None or (zone := _own_zone()) is None:
        return timestamp(self)
    return timestamp(_replace(self, tzinfo=zone))


def _date_fromtimestamp(cls: Any, timestamp: Any, /) -> Any:
    if (zone := _own_zone()) is None:
        return _of_date["fromtimestamp"].__get__(None, cls)(timestamp)
    at = fromtimestamp(timestamp, zone)
    return cls(at.year, at.month, at.day)


_METHODS = {
    "now": classmethod(_class_now),
    "fromtimestamp": classmethod(_class_fromtimestamp),
    "astimezone": _own_astimezone,
    "timestamp": _own_timestamp,
}


def replace_methods() -> None:
    change_class(datetime, _METHODS)
    change_class(date, {"fromtimestamp": classmethod(_date_fromtimestamp)})


def put_back() -> None:
    change_class(datetime, {name: _of_datetime[name] for name in _METHODS})
    change_class(date, {"fromtimestamp": _of_date["fromtimestamp"]})
