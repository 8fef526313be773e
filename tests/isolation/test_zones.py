"""A release that sets a time zone has it for itself, as a program of its own would."""

from __future__ import annotations

import datetime
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation, zones
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from tests.isolation.test_contract import get

MakeSource = Callable[..., Source]
Load = Callable[[str], ImportsInstance]

ZONES = (
    "Europe/Berlin",
    ":America/New_York",
    "Asia/Kolkata",
    "UTC",
    "",
    "EST5EDT",
    "CET-1CEST",
    "AEST-10AEDT-11,M10.5.0,M3.5.0",
    "<+03>-3",
    "/usr/share/zoneinfo/Asia/Tokyo",
    "Nowhere/There",
)

# What depends on the local time; for moments in winter, in summer, and when clocks are changed.
CODE = """
import datetime, email.utils, logging, time
class Own(datetime.datetime): pass
class Day(datetime.date): pass
MOMENTS = 0, 1e9 + 0.25, 1782864000, 1792888200, 1792891800, 1774747800, 1774747799, 1805518800
SECOND = 1792891800  # C code forgets in Python 3.11 and 3.12 that an Own is the second of two
EAST = datetime.timezone(datetime.timedelta(hours=5))
WALLS = (2026, 1, 15, 12), (2026, 7, 15, 12), (2026, 3, 29, 2, 30), (2026, 10, 25, 2, 30)
def offset(at): return at.utcoffset(), at.tzname()
def of_moment(at):
    local = time.localtime(at)
    yield tuple(local), local.tm_zone, local.tm_gmtoff
    yield time.ctime(at), time.strftime("%Z %z %H", local), time.mktime(local)
    yield time.strftime("%s %%s", local)
    yield time.strftime("%Z", tuple(local)), time.strftime("%Z", tuple(local)[:8] + (-1,))
    for kind in (datetime.datetime,) if at == SECOND else (datetime.datetime, Own):
        naive = kind.fromtimestamp(at)
        yield naive, naive.fold, type(naive) is kind, naive.timestamp() == at
        yield offset(naive.astimezone()), naive.astimezone(datetime.timezone.utc)
        aware = kind.fromtimestamp(at, datetime.timezone.utc)
        yield aware, aware.astimezone(), offset(aware.astimezone()), aware.timestamp()
    yield datetime.date.fromtimestamp(at), Day.fromtimestamp(at)
    record = logging.LogRecord("any", 20, "any", 1, "any", (), None)
    record.created = at
    yield logging.Formatter().formatTime(record, "%c"), email.utils.formatdate(at, True)
def of_wall(wall):
    at = datetime.datetime(*wall)
    yield at.timestamp(), at.replace(fold=1).timestamp()
    if wall[1] not in (3, 10):  # clocks are changed: versions of Python and of C libraries differ
        yield offset(at.astimezone()), offset(at.astimezone(EAST))
        yield time.mktime(at.timetuple()), at.strftime("%s")
    for summer in 0, 1:
        yield time.mktime((*wall, 0, 0, 0, 0)[:6] + (0, 0, summer))
    yield time.mktime((2026, 14, -3, 30, 61, 61, 0, 0, -1))
def attempt(function, *arguments):
    try: return function(*arguments)
    except Exception as error: return type(error).__name__
def answer():
    found = [time.timezone, time.altzone, time.daylight, time.tzname]
    found += [list(of_moment(at)) for at in MOMENTS] + [list(of_wall(wall)) for wall in WALLS]
    now = [time.ctime(), time.asctime(), time.strftime("%c"), str(datetime.datetime.now())[:19]]
    now += [str(datetime.date.today()), str(datetime.datetime.today())[:19]]
    wrong = [attempt(time.localtime, at) for at in ("1", 1e99)] + [attempt(time.mktime, (1,))]
    wrong += [attempt(datetime.datetime.now, 5), attempt(datetime.datetime.fromtimestamp, "1")]
    return repr([found, now, wrong])
"""
SET = "import os, time\nos.environ['TZ'] = {!r}\ntime.tzset()\n"


@pytest.fixture
def load(make_source: MakeSource) -> Iterator[Load]:
    isolation = ImportsIsolation()
    loaded: list[ImportsInstance] = []

    def load(zone: str) -> ImportsInstance:
        source = make_source({"wsgi/app.py": SET.format(zone) + CODE}, f"{len(loaded)}.test")
        loaded.append(isolation.load(source))
        return loaded[-1]

    yield load
    for one in loaded:
        one.retire()
    isolation.shutdown(5)
    assert type(vars(datetime.datetime)["timestamp"]) is type(str.join), "put back"
    assert datetime.datetime.fromtimestamp(0).timestamp() == 0


def alone(zone: str) -> str:
    code = f"{CODE}\nprint(answer())"
    environ = {**os.environ, "TZ": zone}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("zone", ZONES)
def test_local_time_is_as_alone(load: Load, zone: str) -> None:
    release = load(zone)
    for _ in range(5):  # a second may end between the two
        own, plain = get(release), alone(zone).strip()
        if own == plain:
            break
    assert own == plain


def test_everybody_has_a_zone_of_his_own(load: Load) -> None:
    def daemons() -> tuple[object, ...]:
        record = logging.LogRecord("any", 20, "any", 1, "any", (), None)
        record.created = 0
        at = datetime.datetime.fromtimestamp(0)
        said = logging.Formatter("%(asctime)s").formatTime(record, "%c")
        return time.tzname, time.localtime(0), time.mktime(time.gmtime(0)), at, said, at.timestamp()

    before = daemons()
    tokyo, kolkata = load("Asia/Tokyo"), load("Asia/Kolkata")
    assert "JST" in get(tokyo) and "IST" not in get(tokyo)
    assert "IST" in get(kolkata) and "JST" not in get(kolkata)
    assert daemons() == before
    tokyo.retire()
    assert "IST" in get(kolkata)


def test_zone_of_the_environment_that_a_site_begins_with(make_source: MakeSource) -> None:
    answer = "import datetime\ndef answer(): return str(datetime.datetime.fromtimestamp(0))\n"
    source = make_source({"wsgi/app.py": answer}, env={"TZ": "Asia/Tokyo"})
    isolation = ImportsIsolation()
    try:
        release = isolation.load(source)
        assert get(release) == "1970-01-01 09:00:00"
        names = release.application.__globals__  # type: ignore[attr-defined]
        exec("import time\nzone = time.tzname, time.localtime(0).tm_hour", names)
        assert names["zone"] == (("JST", "JST"), 9)
        release.retire()
    finally:
        isolation.shutdown(5)


def test_zone_can_be_set_back(load: Load) -> None:
    release = load("Asia/Tokyo")
    names = release.application.__globals__  # type: ignore[attr-defined]
    exec("del os.environ['TZ']\ntime.tzset()\nzone = time.tzname, time.localtime(0)", names)
    assert names["zone"] == (time.tzname, time.localtime(0))


def test_what_is_no_file_of_a_zone_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    found: list[object] = []
    environ = {b"TZ": os.fsencode(tmp_path / "fifo")}
    thread = threading.Thread(target=lambda: found.append(zones._zone(environ)), daemon=True)
    thread.start()
    thread.join(10)
    assert len(found) == 1
