"""Local time in a time zone of the release's own.

``time.tzset`` would change the zone of the process. That of a release is remembered, and what C
code would take from the zone of the process is computed by the daemon's ``zoneinfo``, from the file
or the rule that C code would read.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from io import BytesIO
from typing import Any

from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.reading import read_bytes
from mod_wsgi_van.isolation.imports import dates
from mod_wsgi_van.isolation.imports.internals import load_real
from mod_wsgi_van.isolation.imports.system import System, put

Names = dict[str, Any]

_CONSTANTS = ("timezone", "altzone", "daylight", "tzname")
_DIRECTORY = b"/usr/share/zoneinfo"
_SIZE = 1 << 20  # bytes of a file of a zone
# A file of a zone (RFC 9636) without any time; a rule that holds for all times comes after it.
_FOR_ALL_TIMES = (
    b"TZif2" + bytes(39) + b"TZif2" + bytes(34) + b"\1\0\0\0\4" + bytes(6) + b"UTC\0\n%b\n"
)
_USUAL = b",M3.2.0,M11.1.0"  # what C libraries add to a rule that does not say when summer is


def clock(system: System, names: Names) -> None:
    """``time`` as a release sees it."""
    c_localtime, c_mktime, c_asctime = names["localtime"], names["mktime"], names["asctime"]
    c_strftime, struct_time = names["strftime"], names["struct_time"]

    def tzset() -> None:
        settle(system)
        names.update(_constants(system.zone))

    def localtime(seconds: Any = None, /) -> Any:
        found = c_localtime(seconds)  # raises what the real function raises
        return found if system.zone is None else struct_time(_fields(seconds, system.zone))

    def mktime(fields: Any, /) -> float:
        found: float = c_mktime(fields)  # see above
        return found if system.zone is None else _seconds(fields, system.zone)

    def ctime(*seconds: Any) -> Any:
        return c_asctime(localtime(*seconds))

    def asctime(*fields: Any) -> Any:
        return c_asctime(*fields or [localtime()])

    def strftime(format: str, *fields: Any) -> Any:
        if system.zone is not None:
            if not fields:
                fields = (localtime(),)
            elif not getattr(fields[0], "tm_zone", None) and (summer := fields[0][8]) >= 0:
                # C code would take the name from the process.
                fields = (struct_time((*fields[0][:9], names["tzname"][summer > 0], 0)),)
            if "%s" in format:  # seconds, which C code would count in the zone of the process
                seconds = str(int(mktime(fields[0])))
                format = "%%".join(part.replace("%s", seconds) for part in format.split("%%"))
        return c_strftime(format, *fields)

    put(system, names, "time", tzset, localtime, mktime, ctime, asctime, strftime)
    if system.zone is not None:
        names.update(_constants(system.zone))


def settle(system: System) -> None:
    """Let a release have the zone that its environment says now."""
    system.zone = _zone(system.environ)
    if system.zone is not None:
        dates.replace_methods()


def _zone(environ: Mapping[bytes, bytes]) -> Any:
    """The zone that ``TZ`` names; None when that is the zone of the process."""
    if environ.get(b"TZ") == os.environb.get(b"TZ"):
        return None
    descriptions = _descriptions(environ)
    if descriptions == _descriptions(os.environb):
        return None
    for description in descriptions:
        with contextlib.suppress(ValueError):
            return load_real("zoneinfo").ZoneInfo.from_file(BytesIO(description))
    return load_real("zoneinfo").ZoneInfo.from_file(BytesIO(_FOR_ALL_TIMES % b"UTC0"))


def _descriptions(environ: Mapping[bytes, bytes]) -> list[bytes]:
    """The contents of a file, or else what the name may say as a rule."""
    name = environ.get(b"TZ", b"/etc/localtime").removeprefix(b":") or b"Universal"
    path = os.fsdecode(os.path.join(environ.get(b"TZDIR", _DIRECTORY), name))
    with contextlib.suppress(LoadError):  # a FIFO would block whoever opens it
        if (data := read_bytes(path, _SIZE)) is not None:
            return [data]
    # Debian has few files without tzdata-legacy: what begins like a name is one, of UTC.
    named = [begin[0] + b"0"] if (begin := re.match(b"[A-Za-z]{3,}", name)) else []
    return [_FOR_ALL_TIMES % rule for rule in (name, name + _USUAL, *named)]


def _constants(zone: tzinfo | None) -> Names:
    """Those of ``time``: what holds in January and in July, the standard time first."""
    if zone is None:
        return {name: getattr(time, name) for name in _CONSTANTS}
    year = time.gmtime().tm_year
    both = sorted((datetime(year, month, 1, tzinfo=zone) for month in (1, 7)), key=_offset)
    first, second = (-_offset(each) for each in both)
    named = tuple(each.tzname() for each in both)
    return dict(zip(_CONSTANTS, (first, second, int(first != second), named), strict=True))


def _offset(at: datetime) -> int:
    """In seconds east."""
    return int((at.utcoffset() or timedelta()).total_seconds())


def _fields(seconds: Any, zone: tzinfo) -> tuple[Any, ...]:
    """All eleven of a ``struct_time``."""
    at = dates.fromtimestamp((time.time() if seconds is None else seconds) // 1, zone)
    days = at.toordinal() - date(at.year, 1, 1).toordinal() + 1
    parts = (at.year, at.month, at.day, at.hour, at.minute, at.second, at.weekday(), days)
    return (*parts, int(bool(at.dst())), at.tzname(), _offset(at))


def _seconds(fields: Any, zone: tzinfo) -> float:
    """What ``mktime`` returns; fields may be out of their range."""
    years, month = divmod(fields[1] - 1, 12)
    passed = timedelta(fields[2] - 1, fields[5], 0, 0, fields[4], fields[3])
    wall = datetime(fields[0] + years, month + 1, 1, tzinfo=zone) + passed
    summer = fields[8]
    for fold in (0, 1):
        at = wall.replace(fold=fold)
        if summer < 0 or bool(at.dst()) == bool(summer):
            return dates.timestamp(at)
    return dates.timestamp(wall) + (-3600 if summer else 3600)
