"""Which compiled libraries reload in one process, and what a reload leaves behind.

Makes the list of mod_wsgi_van.isolation.tested: each library is loaded, used and retired by private
imports again and again, in a process and an environment of its own. Flat is what works every time
and grows by less than 50 KB per reload.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from integration.benchmarks.figures import print_table, quick
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from tests.support.environments import environment, site_packages
from tests.support.memory import private

FLAT_KB = 50

# distribution -> what an application does with it
LIBRARIES = {
    "markupsafe==3.0.3": "from markupsafe import escape; escape('<b>')",
    "markupsafe==2.1.5": "from markupsafe import escape; escape('<b>')",
    "charset-normalizer==3.4.4": "import charset_normalizer as c; c.from_bytes(b'abc' * 50).best()",
    "simplejson==3.20.2": "import simplejson as j; j.loads(j.dumps({'a': [1.5, None, 'b']}))",
    "wrapt==2.0.1": "import wrapt; wrapt.ObjectProxy([1]).append(2)",
    "multidict==6.7.0": "from multidict import CIMultiDict; CIMultiDict(a='b')['A']",
    "frozenlist==1.8.0": "from frozenlist import FrozenList; FrozenList([1]).freeze()",
    "propcache==0.4.1": "from propcache import cached_property",
    "yarl==1.22.0": "from yarl import URL; str(URL('http://a/b?c=d') / 'e')",
    "msgpack==1.1.2": "import msgpack; msgpack.unpackb(msgpack.packb({'a': [1, 2.5]}))",
    "ujson==5.11.0": "import ujson; ujson.loads(ujson.dumps({'a': [1, 2.5]}))",
    "orjson==3.11.4": "import orjson; orjson.loads(orjson.dumps({'a': [1, 2.5]}))",
    "regex==2025.11.3": "import regex; regex.match(r'(?P<a>\\p{L}+)', 'abc')['a']",
    "greenlet==3.2.4": "from greenlet import greenlet; greenlet(lambda: None).switch()",
    "zope.interface==8.0.1": "from zope.interface import Interface\nclass I(Interface): pass",
    "pyyaml==6.0.3": "import yaml; yaml.load('a: 1', yaml.CSafeLoader)",
    "bcrypt==5.0.0": "import bcrypt; bcrypt.hashpw(b'a', bcrypt.gensalt(4))",
    "psutil==7.1.3": "import psutil; psutil.Process().memory_info()",
    "brotli==1.2.0": "import brotli; brotli.decompress(brotli.compress(b'abc'))",
    "rpds-py==0.28.0": "from rpds import HashTrieMap; HashTrieMap({'a': 1})",
    "sqlalchemy==2.0.44": "import sqlalchemy; sqlalchemy.select(sqlalchemy.text('1'))",
}

APP = """
{use}
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    {use_again}
    return [b"used"]
"""


def settled_memory() -> int:
    gc.collect()
    return private()


def reload(directory: Path, packages: str, use: str, times: int) -> dict[str, object]:
    """Load and retire ``times`` times in this process; what went wrong, or KB per reload."""
    wsgi = directory / "wsgi"
    wsgi.mkdir()
    again = "pass" if "\n" in use else use
    (wsgi / "app.py").write_text(APP.format(use=use, use_again=again))
    source = Source(
        host="reloads",
        directory=str(wsgi),
        venv=str(Path(packages).parents[2]),
        site_packages=(packages,),
        module_name="app",
        object_name="app",
        python=sys.executable,
    )
    isolation = ImportsIsolation()
    settled = 0
    for number in range(times):
        if number == times // 2:
            settled = settled_memory()
        try:
            loaded = isolation.load(source)
            loaded.application({"PATH_INFO": "/"}, lambda *head: _write)
            loaded.retire()
        except Exception as error:
            return {"error": f"at load {number + 1}: {error}"}
    isolation.shutdown(5)
    return {"kb": round((settled_memory() - settled) / 1024 / (times - times // 2))}


def _write(data: bytes) -> None:
    """What start_response returns; no library here calls it."""


def measure(library: str, times: int) -> list[str]:
    env = environment(getattr(sys, "_base_executable", sys.executable), (library,))
    with tempfile.TemporaryDirectory(prefix="van-reloads-") as directory:
        job = json.dumps([directory, str(site_packages(env)), LIBRARIES[library], times])
        command = [sys.executable, "-m", __spec__.name if __spec__ else "", job]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        return [library, f"ended with {done.returncode}", "", "no"]
    result = json.loads(done.stdout.splitlines()[-1])
    if "error" in result:
        return [library, " ".join(result["error"].split())[:90], "", "no"]
    return [library, "works", str(result["kb"]), "yes" if result["kb"] < FLAT_KB else "no"]


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1].startswith("["):
        directory, packages, use, times = json.loads(sys.argv[1])
        print(json.dumps(reload(Path(directory), packages, use, times)))
        return
    times = 10 if quick(__doc__ or "") else 100
    rows = [measure(library, times) for library in LIBRARIES]
    print_table(f"{times} reloads in one process", ["library", "", "KB per reload", "flat"], rows)


if __name__ == "__main__":
    main()
