"""The standard library of a release does what it does in a program of its own.

Each case is the code of a site, which fails to load where an assertion fails.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.process.worker import YOUNG
from tests.isolation.conftest import Load, MakeSource
from tests.isolation.test_contract import get
from tests.support.waiting import wait

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUXqMKRmMLGkvgUK31m7TRRjeYRA0wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGYS50ZXN0MCAXDTI2MTEyNzIxMTQ0N1oYDzIxMjYxMTAzMjEx
NDQ3WjARMQ8wDQYDVQQDDAZhLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AARrmgpnUw22NRHNZtYN7AsOFW9QSqwJMVJGZU+oUA3nrpB/3M9WJp5SI/AQSgL5
lTJyAsNryrLlWcoegFmS6QBio1MwUTAdBgNVHQ4EFgQUJ0GANG+mfgK5e5my3Mo7
yCJkbV4wHwYDVR0jBBgwFoAUJ0GANG+mfgK5e5my3Mo7yCJkbV4wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAmg1qK83NOj78/l55ylMeH5Oi8B38
5ZSaaxaWnmCek8sCIAeG4s7DuvQWxrdNWew/m2IYbIEbKw81blXW9iN51rVY
-----END CERTIFICATE-----
"""
HELLO = "def answer(): return 'hello'\n"
# A time zone with one rule: so many hours east.
ZONE = """
import os, struct, zoneinfo
from datetime import datetime, timedelta
def zone(hours):
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    return b"TZif" + bytes(16) + counts + struct.pack(">lbb", hours * 3600, 0, 0) + b"ABC\\0"
"""

CASES = {
    "functions are no methods": """
import atexit, copy, os, pickle
for function in (atexit.unregister, os.unsetenv, pickle.dumps):
    holder = type("Holder", (), {"function": function})()
    assert holder.function(b"x") is not holder
    assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(function)) is function
""",
    "the environment of children": """
import os, subprocess
os.putenv("VAN_PUT", "put")
os.environ["VAN_SET"] = "set"
os.environ["VAN_GONE"] = "gone"
del os.environ["VAN_GONE"]
command = 'test "$VAN_PUT-$VAN_SET-$VAN_GONE" = put-set-'
assert not os.system(command)
subprocess.run(command, shell=True, check=True)
for name in ("", "a=b", "a\\0b"):
    for change in (lambda: os.putenv(name, "value"), lambda: os.unsetenv(name)):
        try:
            change()
        except (OSError, ValueError):
            continue
        assert False
""",
    "wrong handlers of a fork": """
import os
for wrong in ({}, {"before": 1}, {"after": print}):
    try:
        os.register_at_fork(**wrong)
    except TypeError:
        continue
    assert False
""",
    "the current task": """
import asyncio
async def sleep():
    async with asyncio.timeout(10):
        await asyncio.sleep(0)
    return asyncio.current_task()
assert isinstance(asyncio.run(sleep()), asyncio.Task)
""",
    "classes of codecs": """
import codecs, encodings, io, pickle
assert isinstance(codecs.lookup("UTF 8"), codecs.CodecInfo)
assert isinstance(codecs.getwriter("ascii")(io.BytesIO()), codecs.StreamWriter)
assert encodings.ascii.Codec is codecs.lookup("ASCII").streamreader.__mro__[1]
for wrong in ("no such", "no\\0such", b"ascii"):
    try:
        codecs.lookup(wrong)
    except (LookupError, TypeError, ValueError):
        continue
    assert False
codecs.register({"mine": codecs.lookup("rot13")}.get)
assert codecs.encode("a", "mine") == "n"
""",
    "errors of codecs": """
import binascii, codecs, zlib
for text, name, expected in ((b"a", "hex", binascii.Error), (b"a", "zlib", zlib.error)):
    try:
        codecs.decode(text, name)
    except expected:
        continue
    assert False
""",
    "decimals and fractions": """
import numbers
from decimal import Context, Decimal
from fractions import Fraction
assert Decimal(1) < Fraction(3, 2) and Decimal("0.5") == Fraction(1, 2)
assert issubclass(Decimal, numbers.Number) and not issubclass(Decimal, numbers.Rational)
try:
    Decimal(1) < object()
except TypeError:
    pass
else:
    assert False
""",
    "time zones in a directory": ZONE
    + """
os.mkdir("zones")
with open("zones/Here", "wb") as file:
    file.write(zone(3))
zoneinfo.reset_tzpath([os.path.abspath("zones")])
assert datetime.now(zoneinfo.ZoneInfo("Here")).utcoffset() == timedelta(hours=3)
""",
    "time zones in a package": ZONE
    + """
package = os.path.join(os.path.dirname(__file__), "tzdata", "zoneinfo")
os.makedirs(package)
for place in (package, os.path.dirname(package)):
    open(os.path.join(place, "__init__.py"), "w").close()
with open(os.path.join(package, "There"), "wb") as file:
    file.write(zone(5))
assert datetime.now(zoneinfo.ZoneInfo("There")).utcoffset() == timedelta(hours=5)
try:
    zoneinfo.ZoneInfo("Nowhere")
except zoneinfo.ZoneInfoNotFoundError:
    pass
""",
    "a directory in an archive": """
import os, sys, zipfile
file = os.path.join(os.path.dirname(__file__), "some.zip")
with zipfile.ZipFile(file, "w") as archive:
    archive.writestr("lib/inside.py", "value = 1")
sys.path += [os.path.join(file, "lib"), os.path.join(file, "..", "not", "there")]
import inside
assert inside.value == 1
""",
    "frames of a failed import": """
import os, traceback
with open(os.path.join(os.path.dirname(__file__), "broken.py"), "w") as file:
    file.write("1 +")
try:
    import broken
except SyntaxError as error:
    assert [f.filename for f in traceback.extract_tb(error.__traceback__)] == [__file__]
else:
    assert False
""",
    "a warning at import": """
import os, warnings
with open(os.path.join(os.path.dirname(__file__), "old.py"), "w") as file:
    file.write("import warnings; warnings.warn('old', DeprecationWarning, stacklevel=2)")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import old
assert [one.filename for one in caught] == [__file__]
""",
    "items that are no names": """
import email
try:
    __import__("email", fromlist=[b"message"])
except TypeError as error:
    assert "from list" in str(error)
else:
    assert False
""",
    "the lock of imports": """
import _imp
assert not _imp.lock_held()
_imp.acquire_lock()
assert _imp.lock_held()
_imp.release_lock()
""",
    "breakpoint": """
import os, sys
callers = []
def stop(): callers.append(sys._getframe(1).f_code)
def code():
    breakpoint()
    return sys._getframe().f_code
os.environ["PYTHONBREAKPOINT"] = __name__ + ".stop"
assert code() is callers.pop()
sys.breakpointhook()
assert callers.pop() is sys._getframe().f_code
os.environ["PYTHONBREAKPOINT"] = "0"
assert breakpoint() is None and not callers
os.environ["PYTHONBREAKPOINT"] = ".stop"
import warnings
with warnings.catch_warnings(record=True) as caught:
    breakpoint()
assert [one.filename for one in caught] == [__file__]
""",
    "names of codecs": """
import codecs
for name, error in (("utf-8\\0", ValueError), ("no such", LookupError), (5, TypeError)):
    try:
        codecs.lookup(name)
    except error:
        pass
    else:
        assert False, name
assert codecs.lookup("UTF 8") is codecs.lookup("utf-8") is codecs.lookup("utf_8")
""",
    "help": """
import contextlib, io
out = io.StringIO()
with contextlib.redirect_stdout(out):
    help(len)
assert "built-in function len" in out.getvalue()
""",
    "exit": """
import sys
try:
    exit(3)
except SystemExit as error:
    assert error.code == 3 and not sys.stdin.closed
""",
    "a future of the loop that does not run": """
import asyncio, threading
seen = []
def work():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    seen.append(asyncio.Future().get_loop() is loop is asyncio.get_event_loop())
    asyncio.set_event_loop(None)
    loop.close()
    try:
        asyncio.Future()
    except RuntimeError:
        seen.append("none")
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert seen == [True, "none"], seen
""",
    "events": """
import os, sys
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, *arguments[:1])))
import colorsys
os.system("true")
assert ("import", "colorsys") in seen and ("os.system", "true") in seen, seen
""",
    "no stream": """
import sys
stream = sys.stdout
del sys.stdout
assert not hasattr(sys, "stdout")
print("nothing")
sys.stdout = stream
""",
    "elements without C": """
import sys
sys.modules["_elementtree"] = None
import xml.etree.ElementTree as ET
root = ET.Element("root")
root.append(ET.Comment("text"))
assert ET.tostring(root) == b"<root><!--text--></root>"
""",
    "certificates of the environment": f"""
import os, ssl
with open("certificates", "w") as file:
    file.write({CERTIFICATE!r})
os.environ["SSL_CERT_FILE"] = os.path.abspath("certificates")
os.environ["SSL_CERT_DIR"] = os.path.abspath("not there")
assert ssl.create_default_context().cert_store_stats()["x509"] == 1
""",
}


@pytest.mark.parametrize("code", CASES.values(), ids=CASES)
def test_library_does_what_it_does_alone(
    load: Load,
    make_source: MakeSource,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert get(load(make_source({"wsgi/app.py": code + HELLO}))) == "hello"


def test_limit_of_digits_is_the_largest_of_all(load: Load, make_source: MakeSource) -> None:
    code = (
        "import sys\nsys.set_int_max_str_digits({})\ndef answer(): return str(len(str(10**5000)))"
    )
    before = sys.get_int_max_str_digits()
    first = load(make_source({"wsgi/app.py": code.format(640)}, "a.test"))
    assert sys.get_int_max_str_digits() == 640, "nobody else is there"
    second = load(make_source({"wsgi/app.py": code.format(0)}, "b.test"))
    third = load(make_source({"wsgi/app.py": code.format(9999)}, "c.test"))
    assert sys.get_int_max_str_digits() == 0 and get(first) == get(second) == "5001"
    second.retire()
    assert sys.get_int_max_str_digits() == 9999
    third.retire()
    first.retire()
    assert sys.get_int_max_str_digits() == before


def test_recursion_limit_is_the_largest_of_all(load: Load, make_source: MakeSource) -> None:
    low = "import sys\nsys.setrecursionlimit(400)\n"
    high = "import sys\nsys.setrecursionlimit(3000)\n"
    show = "import sys\ndef answer(): return str(sys.getrecursionlimit())\n"
    before = sys.getrecursionlimit()
    try:
        first = load(make_source({"wsgi/app.py": low + show}, "a.test"))
        assert sys.getrecursionlimit() == 400, "nobody else is there"
        second = load(make_source({"wsgi/app.py": show}, "b.test"))
        assert sys.getrecursionlimit() == before
        third = load(make_source({"wsgi/app.py": high + show}, "c.test"))
        assert sys.getrecursionlimit() == 3000
        assert [get(one) for one in (first, second, third)] == ["400", str(before), "3000"]
        third.retire()
        assert sys.getrecursionlimit() == before
    finally:
        sys.setrecursionlimit(before)


HOOKED = """
import importlib.machinery, sys
class Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, **more):
        return super().source_to_code(data.replace(b"plain", b"instrumented"), path, **more)
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "package":
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            spec.loader = Loader(name, spec.origin)
            return spec
sys.meta_path.insert(0, Finder)
"""


@pytest.mark.parametrize("order", [("hooked", "plain"), ("plain", "hooked")])
def test_what_an_import_hook_makes_of_a_file_stays_with_its_site(
    order: tuple[str, str], load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    """Both sites have one environment, so that its code is shared between others. Bytecode on disk
    would be shared in any Python: none can be written."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common/__pycache__").touch()
    file = tmp_path / "common/package.py"
    file.write_text("answer = lambda: 'plain'\n")
    os.utime(file, (0, 10**9))
    wait(lambda: time.time() - file.stat().st_ctime > YOUNG, "the file is no longer young")
    for host in order:
        text = (HOOKED if host == "hooked" else "") + "from package import answer\n"
        source = make_source({"wsgi/app.py": text}, f"{host}.test")
        source = replace(source, site_packages=(str(tmp_path / "common"),))
        assert get(load(source)) == {"hooked": "instrumented", "plain": "plain"}[host]
