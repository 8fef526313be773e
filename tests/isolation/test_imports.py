"""The private import system from inside: what it leaves alone, and what it leaves behind."""

from __future__ import annotations

import _imp
import _thread
import builtins
import contextlib
import contextvars
import copyreg
import ctypes
import functools
import gc
import importlib
import json
import linecache
import operator
import os
import queue
import sys
import threading
import typing
import warnings
import weakref
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.errors import LoadError, UnsupportedPython
from mod_wsgi_van.interpreter.leftovers import leftovers, undo
from mod_wsgi_van.isolation.imports import ImportsIsolation, internals
from mod_wsgi_van.isolation.imports.fronts import collected
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from mod_wsgi_van.isolation.imports.standins import LibraryStandIn, StandIn
from tests.isolation.conftest import Load, MakeSource
from tests.isolation.test_contract import get
from tests.support.waiting import wait


def test_application_is_the_very_object(load: Load, make_source: MakeSource) -> None:
    loaded = load(make_source({"wsgi/app.py": "answer = lambda: 'hello'"}))
    assert loaded.application.__globals__["app"] is loaded.application  # type: ignore[attr-defined]


def test_no_moment_is_calm_while_a_release_is_loaded(
    make_source: MakeSource, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    text = (
        "import os, time\n"
        f"open({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
        "answer = lambda: ''"
    )
    isolation = ImportsIsolation()
    assert isolation.calm()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(isolation.load, make_source({"wsgi/app.py": text}))
        try:
            wait(begun.exists)
            assert not isolation.calm()
        finally:
            go_on.touch()
        loaded = loading.result()
    assert isolation.calm()
    loaded.retire()
    isolation.shutdown(1)


def test_lazy_imports_import_at_once(
    load: Load, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.15 would resolve them with a lock held that all sites need."""
    monkeypatch.setattr(builtins, "__lazy_import__", object(), raising=False)
    text = (
        "import builtins\nfound = builtins.__lazy_import__('part')\nanswer = lambda: found.__name__"
    )
    loaded = load(make_source({"wsgi/app.py": text, "wsgi/part.py": ""}))
    assert get(loaded) == "part"


def test_no_function_is_replaced_before_the_first_load_and_after_the_last(
    make_source: MakeSource,
) -> None:
    bootstrap: Any = importlib._bootstrap  # type: ignore[attr-defined]

    def replaceable() -> list[Any]:
        return [bootstrap._find_and_load, sys.displayhook, sys.unraisablehook, dict(sys.modules)]

    before = replaceable()
    isolation = ImportsIsolation()
    assert replaceable() == before
    loaded = isolation.load(make_source({"wsgi/app.py": "answer = lambda: ''"}))
    assert replaceable() != before
    loaded.retire()
    isolation.shutdown(5)
    isolation.shutdown(5)
    assert replaceable() == before


# K leads to the release: a class without a function of its own would not.
ANSWER = "def answer(): return 'hello'\nclass K:\n    def method(self): return answer\n"
# What an application may leave in the shared standard library. Each is a way to stay reachable.
KEEPING = {
    "nothing": "",
    "a proxy among the finalizers": "import weakref, threading\n"
    "class Proxy:\n"
    "    def __getattr__(self, name): raise RuntimeError(name)\n"
    "    def __call__(self): raise SystemExit\n"
    "weakref.finalize(threading.main_thread(), Proxy())",
    "weakref.finalize": "import weakref, threading\n"
    "weakref.finalize(threading.main_thread(), lambda: None)",
    "typing.overload": "import typing\n@typing.overload\ndef f(x: int) -> int: ...\n"
    "@typing.overload\ndef f(x: str) -> str: ...\ndef f(x): ...",
    "copyreg": "import copyreg\ncopyreg.pickle(K, lambda k: (K, ()))",
    "typing caches": "import typing\ntyping.List[K], typing.Optional[K]",
    "fork handlers": "import os\nos.register_at_fork(before=lambda: None)",
    "exit handlers": "import atexit\natexit.register(lambda: None)",
    "logging": "import logging\nclass H(K, logging.Handler): pass\nlogging.root.addHandler(H())",
    "warnings": "import warnings\nclass W(K, UserWarning): pass\nwarnings.simplefilter('error', W)",
    "context variable": "import contextvars\n"
    "v: contextvars.ContextVar[K] = contextvars.ContextVar('v')\nv.set(K())",
    "ctypes": "import ctypes\nclass S(K, ctypes.Structure): pass\nctypes.POINTER(S)",
    "regular expressions": "import re\nclass S(K, str): pass\nre.compile(S('a+b'))",
    "templates": "import re\nre.sub('a', r'\\g<0>', 'a')",
    "decimal": "import decimal\ndecimal.getcontext()",
    "strptime": "import datetime\ndatetime.datetime.strptime('2026', '%Y')",
    "urls": "import urllib.parse\nclass S(K, str): pass\nurllib.parse.urlsplit(S('http://a/b'))",
    "pickle": "import pickle\npickle.loads(pickle.dumps(K()))",
    "executor": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(1) as pool: pool.submit(answer).result()",
    "sqlite3": "import sqlite3\nsqlite3.register_adapter(K, str)",
    "abc": "import collections.abc\ncollections.abc.Sized.register(K)",
    "json": "import json\nclass E(json.JSONEncoder): pass\njson.dumps({'a': 1}, cls=E)",
    "asyncio": "import asyncio\nasync def f(): return 1\nasyncio.run(f())",
    "subprocess": "import subprocess\nsubprocess.run(['true'])",
    "tempfile": "import tempfile\nt = tempfile.TemporaryDirectory()\nt.cleanup()",
    "traceback": "import traceback\ntry: 1/0\nexcept ZeroDivisionError: traceback.format_exc()",
    "functools": "import functools\n@functools.singledispatch\ndef f(x): ...\n"
    "f.register(int, lambda x: x); f(3)",
    "enum and dataclass": "import enum, dataclasses\nclass E(enum.Enum): A = 1\n"
    "@dataclasses.dataclass\nclass D:\n    e: 'E' = E.A\nD()",
    "thread": "import threading\nt = threading.Thread(target=answer); t.start(); t.join()",
    "inspect": "import inspect\ninspect.getsource(answer); inspect.getmodule(answer)",
    "import failed": "try: import not_there\nexcept ImportError: pass",
}


@pytest.mark.parametrize("code", KEEPING.values(), ids=KEEPING)
def test_nothing_of_a_retired_release_is_reachable(
    load: Load, make_source: MakeSource, code: str
) -> None:
    source = make_source({"wsgi/app.py": f"{ANSWER}{code}\n"})
    loaded = load(source)
    assert get(loaded) == "hello"
    application = weakref.ref(loaded.application)
    loaded.retire()
    # The types of ctypes go one after the other.
    wait(lambda: application() is None, tell=lambda: str(gc.get_referrers(application())))


class InContext(threading.Thread):
    """One that is in its context from the beginning to the end, as all are since Python 3.14."""

    def run(self) -> None:
        self._context = contextvars.Context()
        self._context.run(super().run)


@contextlib.contextmanager
def serving(by: str) -> Iterator[Callable[..., Any]]:
    """A function that calls another in a thread of a server, which C code or Python made."""
    calls, results = queue.SimpleQueue[Any](), queue.SimpleQueue[Any]()

    def serve() -> None:
        while call := calls.get():
            results.put(call())
            del call
        results.put(None)

    def ask(*call: Any) -> Any:
        calls.put(partial(*call))
        return results.get(timeout=60)

    if by == "C":
        _thread.start_new_thread(serve, ())
    else:
        InContext(target=serve).start()
    yield ask
    calls.put(None)
    assert results.get(timeout=60) is None


@pytest.mark.parametrize("by", ["C", "Python"])
def test_threads_of_the_server_keep_nothing(load: Load, make_source: MakeSource, by: str) -> None:
    app = (
        "import contextvars, threading\n"
        "class K:\n"
        "    def method(self): return answer\n"
        "variable, local = contextvars.ContextVar('variable'), threading.local()\n"
        "def answer():\n"
        "    before = variable.get('new') != 'new'\n"
        "    variable.set(K())\n"
        "    local.value = K()\n"
        "    return str(before)\n"
    )
    retired = load(make_source({"wsgi/app.py": app}, "one.test"))
    stays = load(make_source({"wsgi/app.py": app}, "two.test"))
    with serving(by) as server:
        for vhost in (retired, stays):
            assert server(get, vhost) == "False"
        application = weakref.ref(retired.application)
        del vhost
        retired.retire()
        if by == "C":
            assert application() is None
        server(undo)  # as the router does at each request
        wait(lambda: application() is None)
        server(undo)  # what was left while the thread did
        assert server(get, stays) == "True", "its values are left alone"
    assert not leftovers


def test_threads_of_the_server_are_not_disturbed(load: Load, make_source: MakeSource) -> None:
    """A tuple that is just being built breaks when somebody else refers to it."""
    app = (
        "import contextvars\nvariable = contextvars.ContextVar('v')\n"
        "def answer():\n"
        "    return str(sum(len(tuple(n for n in range(40))) for _ in range(500)))\n"
    )
    stays = load(make_source({"wsgi/app.py": app}, "two.test"))
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            assert get(stays) == "20000"

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as server:
            served = [server.submit(serve) for _ in range(2)]
            for _ in range(20):
                load(make_source({"wsgi/app.py": app}, "one.test")).retire()
            done.set()
            for one in served:
                one.result()
    finally:
        done.set()
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("code", ["raise ValueError", "import sys; sys.exit()", "app = 3", "1 +"])
def test_nothing_of_a_failed_load_is_reachable(make_source: MakeSource, code: str) -> None:
    source = make_source({"wsgi/helper.py": "import weakref\nclass Thing: pass\n"})
    app = f"import helper, copyreg\ncopyreg.pickle(helper.Thing, lambda t: 1)\n{code}\n"
    Path(source.directory, "app.py").write_text(app)
    isolation = ImportsIsolation()
    before = set(copyreg.dispatch_table)
    with pytest.raises(LoadError) as caught:
        isolation.load(source)
    gc.collect()
    things = [o for o in gc.get_objects() if isinstance(o, type) and o.__module__ == "helper"]
    assert not things
    assert set(copyreg.dispatch_table) == before
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert "helper" not in sys.modules and "app" not in sys.modules
    isolation.shutdown(5)


def test_finalizers_run_when_retired(load: Load, make_source: MakeSource, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    app = (
        "import weakref, threading, pathlib\n"
        f"def finish(): pathlib.Path({str(kept)!r}).touch()\n"
        "weakref.finalize(threading.main_thread(), finish)\n"
        "answer = lambda: ''\n"
    )
    loaded = load(make_source({"wsgi/app.py": app}))
    assert not kept.exists()
    loaded.retire()
    assert kept.exists()


def test_others_registrations_survive_a_retirement(load: Load, make_source: MakeSource) -> None:
    app = (
        "import copyreg, typing, pickle\n"
        "class Thing: pass\n"
        "def make(): thing = Thing(); thing.again = True; return thing\n"
        "copyreg.pickle(Thing, lambda thing: (make, ()))\n"
        "@typing.overload\ndef f(x: int) -> int: ...\n"
        "def f(x): ...\n"
        "def answer():\n"
        "    again = pickle.loads(pickle.dumps(Thing())).again\n"
        "    return f'{again} {len(typing.get_overloads(f))}'\n"
    )
    one = load(make_source({"wsgi/app.py": app}, "one.test"))
    two = load(make_source({"wsgi/app.py": "\n" + app}, "two.test"))
    one.retire()
    assert get(two) == "True 1"


def test_releases_that_retire_at_once_do_not_stumble_over_each_other(
    load: Load, make_source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    before = list(gc.callbacks)
    code = (
        "import codecs, ctypes, gc\n"
        "for n in range(100):\n"
        "    class S(ctypes.Structure): pass\n"
        "    ctypes.POINTER(S)\n"
        "    gc.callbacks.append(lambda *a: None)\n"
        "    codecs.register(lambda name: None)\n"
        "answer = lambda: ''\n"
    )
    releases = [load(make_source({"wsgi/app.py": code}, f"{n}.test")) for n in range(8)]
    barrier = threading.Barrier(len(releases))

    def retire(release: ImportsInstance) -> None:
        barrier.wait(30)
        release.retire()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(releases)) as pool:
            list(pool.map(retire, releases))
    finally:
        sys.setswitchinterval(interval)
    assert not caplog.records
    assert not [each for each in gc.callbacks if each not in before and each is not collected]


def test_caches_of_ctypes_that_are_no_tables_are_left_alone(
    load: Load, make_source: MakeSource, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """Python 3.14 has an object there that warns of whoever asks it."""

    class Warns:
        def __getitem__(self, key: Any) -> Any:
            warnings.warn("deprecated", DeprecationWarning, stacklevel=2)
            raise KeyError(key)

    monkeypatch.setattr(ctypes, "_pointer_type_cache", Warns())
    load(make_source({"wsgi/app.py": "answer = lambda: ''"})).retire()
    assert not caplog.records


class TestTheRealTable:
    """sys.modules of the daemon."""

    FILES = {
        "wsgi/app.py": "import helper\nanswer = lambda: helper.NAME",
        "wsgi/helper.py": "NAME = 'mine'",
    }

    def test_has_one_stand_in_while_anybody_has_the_module(
        self, load: Load, make_source: MakeSource
    ) -> None:
        one = load(make_source(self.FILES, "one.test"))
        two = load(make_source(self.FILES, "two.test"))
        assert type(sys.modules["helper"]) is StandIn
        one.retire()
        assert type(sys.modules["helper"]) is StandIn
        two.retire()
        assert "helper" not in sys.modules

    def test_answers_nobody_but_vhosts(self, load: Load, make_source: MakeSource) -> None:
        load(make_source(self.FILES))
        stand_in = sys.modules["helper"]
        assert not hasattr(stand_in, "NAME") and not hasattr(stand_in, "__file__")
        with pytest.raises(AttributeError):
            stand_in.NAME = 5  # type: ignore[attr-defined]
        assert "helper" in repr(stand_in)

    def test_answers_c_code_without_a_frame(self, load: Load, make_source: MakeSource) -> None:
        load(make_source(self.FILES))
        found: list[Any] = []
        look = functools.partial(getattr, sys.modules["helper"], "NAME", "nobody asked")
        done = _thread.allocate_lock()
        done.acquire()
        # Neither function of this thread is Python: its stack is empty when it looks.
        steps = map(operator.call, (look, done.release))
        _thread.start_new_thread(found.extend, (steps,))
        assert done.acquire(timeout=30)
        wait(lambda: found)
        assert found == ["nobody asked", None]

    def test_daemon_imports_its_own_module_of_a_name_that_a_vhost_has(
        self,
        load: Load,
        make_source: MakeSource,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        vhost = load(make_source(self.FILES))
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("helper")
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "helper.py").write_text("NAME = 'the daemon'")
        monkeypatch.syspath_prepend(str(tmp_path / "own"))
        import helper  # type: ignore[import-not-found]

        assert helper.NAME == "the daemon"
        assert get(vhost) == "mine"
        vhost.retire()
        assert sys.modules["helper"].NAME == "the daemon"  # type: ignore[attr-defined]
        del sys.modules["helper"]

    def test_module_of_the_daemon_is_hidden_from_vhosts_and_kept(
        self, load: Load, make_source: MakeSource
    ) -> None:
        app = (
            "import pickle, sys\n"
            "import watchdog\n"
            "class_ = watchdog.Thing\n"
            "def answer():\n"
            "    thing = pickle.loads(pickle._dumps(class_()))\n"
            "    return f'{watchdog.NAME} {type(thing) is class_}'\n"
        )
        genuine = importlib.import_module("watchdog")
        files = {"wsgi/app.py": app, "wsgi/watchdog.py": "NAME = 'mine'\nclass Thing: pass"}
        vhost = load(make_source(files))
        assert get(vhost) == "mine True"
        assert sys.modules["watchdog"].__file__ == genuine.__file__
        vhost.retire()
        assert sys.modules["watchdog"] is genuine

    def test_shows_c_code_the_module_for_a_moment_only(
        self, load: Load, make_source: MakeSource
    ) -> None:
        app = (
            "import pickle, logging, helper\n"
            "def answer():\n"
            "    for kind in (helper.Thing, logging.LogRecord, logging.Handler):\n"
            "        assert pickle.loads(pickle.dumps(kind)) is kind\n"
            "    return 'same'\n"
        )
        files = {"wsgi/app.py": app, "wsgi/helper.py": "class Thing: pass"}
        vhosts = [load(make_source(files, f"{name}.test")) for name in "abcd"]
        wrong: list[Any] = []

        def ask(vhost: ImportsInstance) -> None:
            try:
                for _ in range(300):
                    assert get(vhost) == "same"
            except BaseException as exc:
                wrong.append(exc)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=ask, args=(vhost,)) for vhost in vhosts * 2]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                assert type(sys.modules["helper"]) is StandIn
                assert type(sys.modules["logging"]) is LibraryStandIn
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert not wrong, wrong[0]


def test_circular_imports_of_unfinished_submodules(load: Load, make_source: MakeSource) -> None:
    files = {
        "wsgi/app.py": "import pkg\nanswer = lambda: pkg.one.two.one.NAME",
        "wsgi/pkg/__init__.py": "from . import one",
        "wsgi/pkg/one.py": "from . import two\nNAME = 'one'",
        "wsgi/pkg/two.py": "import types\nfrom . import one\nassert type(one) is types.ModuleType",
    }
    assert get(load(make_source(files))) == "one"


def test_module_that_puts_another_object_in_its_place(load: Load, make_source: MakeSource) -> None:
    files = {
        "wsgi/app.py": "import lazy, pickle\n"
        "answer = lambda: lazy.NAME + pickle.loads(pickle.dumps(lazy.Thing)).NAME",
        "wsgi/lazy.py": "import sys\nclass Thing: NAME = 'thing'\nThing.__module__ = 'lazy'\n"
        "class Lazy: NAME = 'lazy'; Thing = Thing\nsys.modules[__name__] = Lazy()",
    }
    assert get(load(make_source(files))) == "lazything"


def test_thread_that_runs_shared_code_alone(load: Load, make_source: MakeSource) -> None:
    app = (
        "import pickle, threading, helper\n"
        "def answer():\n"
        "    found = []\n"
        "    data = pickle.dumps(helper.Thing())\n"
        "    calls = map(pickle.loads, [data])\n"
        "    thread = threading.Thread(target=found.extend, args=(calls,))\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "    return str([type(thing) is helper.Thing for thing in found])\n"
    )
    files = {"wsgi/app.py": app, "wsgi/helper.py": "class Thing: pass"}
    assert get(load(make_source(files))) == "[True]"


def test_standard_module_that_a_vhost_hides(load: Load, make_source: MakeSource) -> None:
    """It does so for the standard library too, as in a program, and in no other vhost."""
    app = (
        "import pydoc, email\n"
        "try: import xmlrpc.server\n"
        "except AttributeError as error: reason = str(error)\n"
        "answer = lambda: f'{pydoc.NAME} {reason}'"
    )
    files = {"wsgi/app.py": app, "wsgi/pydoc.py": "NAME = 'mine'", "wsgi/email/notes.txt": ""}
    assert get(load(make_source(files))) == "mine module 'pydoc' has no attribute 'HTMLDoc'"
    assert not hasattr(importlib.import_module("pydoc"), "NAME")
    other = "import xmlrpc.server\nanswer = lambda: str(hasattr(xmlrpc.server.pydoc, 'Doc'))"
    assert get(load(make_source({"wsgi/app.py": other}, "b.test"))) == "True"


def test_thread_that_outlives_its_release(
    load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    app = (
        "import os, pickle, threading, time, helper\n"
        "def work():\n"
        f"    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        "    import late\n"
        "    assert type(pickle.loads(pickle.dumps(helper.Thing()))) is helper.Thing\n"
        "    assert type(pickle.loads(pickle.dumps(late.Thing()))) is late.Thing\n"
        f"    open({str(done)!r}, 'w').close()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "answer = lambda: ''\n"
    )
    thing = "class Thing: pass"
    source = make_source({"wsgi/app.py": app, "wsgi/helper.py": thing, "wsgi/late.py": thing})
    load(source).retire()
    gate.touch()
    wait(done.exists)


def test_finder_that_hangs_holds_up_no_other_vhost(
    load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    slow = (
        "import os, sys, time\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        open({str(begun)!r}, 'w').close()\n"
        f"        while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "try: import not_there\n"
        "except ImportError: pass\n"
        "answer = lambda: 'slow'\n"
    )
    quick = {"wsgi/app.py": "import helper\nanswer = lambda: 'quick'", "wsgi/helper.py": ""}
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(load, make_source({"wsgi/app.py": slow}, "slow.test"))
        try:
            wait(begun.exists)
            early = pool.submit(load, make_source(quick, "quick.test"))
            assert get(early.result(timeout=30)) == "quick"
            assert not late.done()
        finally:
            gate.touch()
        assert get(late.result(timeout=30)) == "slow"


def test_resource_tracker_of_multiprocessing_ends(load: Load, make_source: MakeSource) -> None:
    app = (
        "from multiprocessing import resource_tracker as tracker\n"
        "def answer():\n"
        "    tracker.ensure_running()\n"
        "    return str(tracker._resource_tracker._pid)\n"
    )
    loaded = load(make_source({"wsgi/app.py": app}))
    process = Path("/proc", get(loaded))
    assert process.exists()
    loaded.retire()
    assert not process.exists()


def test_paths_of_the_environment(load: Load, make_source: MakeSource) -> None:
    app = (
        "import json, sys, sysconfig\n"
        "answer = lambda: json.dumps([sys.prefix, sys.exec_prefix, sys.executable, sys.path[0],\n"
        "    sys.path[-1], sysconfig.get_path('purelib')])"
    )
    source = make_source({"wsgi/app.py": app, ".venv/lib/site-packages/x.py": ""}, python="/bin/sh")
    prefix, exec_prefix, executable, first, last, purelib = json.loads(get(load(source)))
    assert prefix == exec_prefix == source.venv and executable == "/bin/sh"
    assert first == source.directory and (last,) == source.site_packages
    assert purelib.startswith(f"{source.venv}/")


def test_exit_handlers_that_cannot_be_described(load: Load, make_source: MakeSource) -> None:
    app = (
        "import atexit, weakref, threading\n"
        "class Rude:\n"
        "    def __repr__(self): raise SystemExit\n"
        "    def __call__(self): raise KeyboardInterrupt\n"
        "atexit.register(Rude())\n"
        "weakref.finalize(threading.main_thread(), Rude())\n"
        "answer = lambda: ''\n"
    )
    load(make_source({"wsgi/app.py": app})).retire()
    assert "app" not in sys.modules


def test_zip_files_on_the_path(load: Load, make_source: MakeSource, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "NAME = 'zipped'")
        archive.writestr("zipped/data.txt", "data")
    app = (
        "import zipped, pkgutil, inspect\n"
        "answer = lambda: zipped.NAME + pkgutil.get_data('zipped', 'data.txt').decode()"
        " + inspect.getsource(zipped)"
    )
    pth = {".venv/lib/site-packages/lib.pth": f"{tmp_path / 'lib.zip'}\n"}
    assert get(load(make_source({"wsgi/app.py": app} | pth))) == "zippeddataNAME = 'zipped'\n"


def test_monkeypatched_builtins_are_the_vhosts_own(load: Load, make_source: MakeSource) -> None:
    app = "import builtins\nbuiltins._ = lambda text: text + '{0}'\nanswer = lambda: _('of ')"
    one = load(make_source({"wsgi/app.py": app.format("one")}, "one.test"))
    two = load(make_source({"wsgi/app.py": app.format("two")}, "two.test"))
    assert [get(one), get(two)] == ["of one", "of two"]
    assert not hasattr(sys.modules["builtins"], "_") or "of" not in str(
        vars(sys.modules["builtins"])["_"]
    )


def test_fork_handlers_run_for_the_vhost_that_forks(
    load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    app = (
        "import os\n"
        "seen = []\n"
        "os.register_at_fork(before=lambda: seen.append('before'),\n"
        "    after_in_parent=lambda: seen.append('parent'),\n"
        "    after_in_child=lambda: seen.append('child'))\n"
        "def answer():\n"
        "    if {0}:\n"
        "        read, write = os.pipe()\n"
        "        if not (pid := os.fork()):\n"
        "            try: os.write(write, ' '.join(seen).encode())\n"
        "            finally: os._exit(0)\n"
        "        os.close(write); os.waitpid(pid, 0)\n"
        "        with open(read) as f: return f.read() + ', ' + ' '.join(seen)\n"
        "    return ' '.join(seen)\n"
    )
    forking = load(make_source({"wsgi/app.py": app.format(True)}, "one.test"))
    other = load(make_source({"wsgi/app.py": app.format(False)}, "two.test"))
    assert get(forking) == "before child, before parent"
    assert get(other) == ""


def test_sources_of_a_vhost_are_found_by_the_standard_library(
    load: Load, make_source: MakeSource
) -> None:
    source = make_source({"wsgi/app.py": "import linecache\nanswer = lambda: 1 / 0"})
    loaded = load(source)
    with pytest.raises(ZeroDivisionError) as caught:
        get(loaded)
    import traceback

    assert "answer = lambda: 1 / 0" in "".join(traceback.format_exception(caught.value))
    assert f"{source.directory}/app.py" in linecache.cache
    del caught
    loaded.retire()
    assert f"{source.directory}/app.py" not in linecache.cache


def test_main_module_and_private_copies(load: Load, make_source: MakeSource) -> None:
    app = (
        "import __main__, sys, os, logging, importlib, posixpath\n"
        "assert sys.modules['__main__'] is __main__ and not hasattr(__main__, '__file__')\n"
        "assert sys.modules['os'] is os and os.path is posixpath\n"
        "assert logging.root.handlers == []\n"
        "assert sys.stdout is not None and sys.getrecursionlimit()\n"
        "assert not any('site-packages' in entry for entry in sys.path), sys.path\n"
        "answer = lambda: str(id(logging.root))"
    )
    loaded = load(make_source({"wsgi/app.py": app}))
    import logging

    assert get(loaded) != str(id(logging.root))


def test_unsupported_python_is_refused(
    monkeypatch: pytest.MonkeyPatch, make_source: MakeSource
) -> None:
    internals.check.cache_clear()
    monkeypatch.delattr(importlib._bootstrap, "_handle_fromlist")  # type: ignore[attr-defined]
    source = make_source({"wsgi/app.py": "answer = lambda: ''"})
    with pytest.raises(UnsupportedPython, match=r"_handle_fromlist.*isolation=\"process\""):
        ImportsIsolation().load(source)
    monkeypatch.undo()
    internals.check()


def test_pickles_name_modules_to_import(load: Load, make_source: MakeSource) -> None:
    """A pickle is read by shared code that imports what it names: for the vhost."""
    app = (
        "import io, pickle\n"
        "data = b'cnever_imported\\nNAME\\n.'\n"
        "def answer():\n"
        "    slow, quick = pickle._loads(data), pickle.loads(data)\n"
        "    return slow + quick + pickle.Unpickler(io.BytesIO(data)).load()\n"
    )
    files = {"wsgi/app.py": app, "wsgi/never_imported.py": "NAME = 'x'"}
    assert get(load(make_source(files))) == "xxx"


def test_no_private_name_is_left_behind() -> None:
    assert not hasattr(sys.modules["builtins"], "__mod_wsgi_van_release__")
    assert _imp.lock_held() is False
    assert typing.get_overloads(os.getcwd) == []
