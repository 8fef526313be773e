"""A release that was replaced ends, and what goes on nevertheless is named."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from tests.isolation.conftest import MakeSource
from tests.isolation.test_contract import get
from tests.support.children import descendants
from tests.support.waiting import wait

FORK = "import multiprocessing\nfork = multiprocessing.get_context('fork')\n"
SQLITE = (
    "import sqlite3\n"
    "connection = sqlite3.connect(':memory:')\n"
    "def use(*ignored): return connection is None\n"
)
# What a program need not end itself: it ends with the program.
ENDING = {
    "executor": "from concurrent.futures import ThreadPoolExecutor\n"
    "pool = ThreadPoolExecutor(2)\npool.submit(int).result()",
    "a thread that is told by threading": "import queue, threading\n"
    "mail = queue.Queue()\nthreading.Thread(target=mail.get).start()\n"
    "threading._register_atexit(mail.put, None)",
    "a thread that is told by atexit": "import atexit, threading\n"
    "end = threading.Event()\nthreading.Thread(target=end.wait, daemon=True).start()\n"
    "atexit.register(end.set)",
    "a thread that ends": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(0.1,)).start()",
    "timer": "import threading\nthreading.Timer(3600, print).start()",
    "timer that starts the next one": "import threading\n"
    "def tick(): threading.Timer(0.01, tick).start()\ntick()",
    "queue listener": "import logging.handlers, queue\n"
    "listener = logging.handlers.QueueListener(queue.Queue(), logging.NullHandler())\n"
    "listener.start()",
    "process pool": FORK + "from concurrent.futures import ProcessPoolExecutor\n"
    "pool = ProcessPoolExecutor(2, mp_context=fork)\npool.submit(int).result()",
    "pool": FORK + "pool = fork.Pool(2)\npool.apply(int)",
    "a daemon child": FORK + "import time\n"
    "child = fork.Process(target=time.sleep, args=(3600,), daemon=True)\nchild.start()",
    "queue": FORK + "queue = fork.Queue()\nqueue.put(b'x' * 1000)\nqueue.get()",
    "resource tracker": "from multiprocessing import resource_tracker\n"
    "resource_tracker.ensure_running()",
    "fork server": "from multiprocessing import forkserver\nforkserver.ensure_running()",
    "sqlite function": SQLITE + "connection.create_function('f', 0, use)",
    "sqlite trace": SQLITE + "connection.set_trace_callback(use)",
    "sqlite progress": SQLITE + "connection.set_progress_handler(use, 100)",
    "sqlite authorizer": SQLITE + "connection.set_authorizer(lambda *of: use() or 0)",
    "sqlite collation": SQLITE + "connection.create_collation('c', lambda a, b: use() or 0)",
    "sqlite in another thread": "import threading\ndef connect():\n"
    "    import sqlite3\n    global connection\n    connection = sqlite3.connect(':memory:')\n"
    "    connection.create_function('f', 0, lambda: connection)\n"
    "thread = threading.Thread(target=connect)\nthread.start()\nthread.join()",
    "sqlite with a class of its own": "import sqlite3\n"
    "class Connection(sqlite3.Connection):\n    __hash__ = None\n"
    "connection = sqlite3.connect(':memory:', factory=Connection)\n"
    "connection.set_trace_callback(lambda text: connection)",
}
LOOP = (
    "import os, threading, time\n"
    "def loop():\n    while not os.path.exists({gate!r}): time.sleep(0.005)\n"
    "threading.Thread(target=loop, name='the poller', daemon={daemon}).start()\n"
    "answer = lambda: 'hello'\n"
)


@pytest.fixture
def isolation() -> Iterator[ImportsIsolation]:
    isolation = ImportsIsolation(patience=0.3)
    yield isolation
    isolation.shutdown(5)


@pytest.fixture
def patient() -> Iterator[ImportsIsolation]:
    isolation = ImportsIsolation(patience=30)
    yield isolation
    isolation.shutdown(5)


def load(isolation: ImportsIsolation, make_source: MakeSource, code: str) -> ImportsInstance:
    return isolation.load(make_source({"wsgi/app.py": code}))


def messages(caplog: pytest.LogCaptureFixture, code: str) -> list[str]:
    return [text for record in caplog.records if code in (text := record.getMessage())]


@pytest.mark.parametrize("code", ENDING.values(), ids=ENDING)
def test_what_ends_with_a_program_ends_with_a_release(
    patient: ImportsIsolation,
    make_source: MakeSource,
    caplog: pytest.LogCaptureFixture,
    code: str,
) -> None:
    before = descendants(os.getpid())  # an orphan of an earlier test may still be a zombie
    loaded = load(patient, make_source, f"def answer(): return 'hello'\n{code}\n")
    assert get(loaded) == "hello"
    application = weakref.ref(loaded.application)
    assert loaded.retire(), caplog.text
    ours = {each.ident for each in threading.enumerate()}
    wait(lambda: not set(sys._current_frames()) - ours, "the end of the release's threads")
    assert descendants(os.getpid()) <= before
    wait(lambda: gc.collect() >= 0 and application() is None, "the end of the release")
    assert not caplog.records, caplog.text


def test_a_child_that_nobody_ends_is_ended(
    isolation: ImportsIsolation, make_source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    child = "child = fork.Process(target=time.sleep, args=(3600,), name='the child')\nchild.start()"
    before = descendants(os.getpid())
    loaded = load(isolation, make_source, f"import time\n{FORK}{child}\nanswer = lambda: ''\n")
    assert loaded.retire()
    assert descendants(os.getpid()) <= before
    assert "the child" in messages(caplog, "VAN010")[0]


def test_the_order_is_that_of_a_program(
    patient: ImportsIsolation, make_source: MakeSource, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    loaded = load(
        patient,
        make_source,
        "import atexit, threading\n"
        "end = threading.Event()\n"
        "def say(word):\n"
        f"    with open({str(seen)!r}, 'a') as f: f.write(word + ' ')\n"
        "def work():\n    end.wait(); say('thread')\n"
        "atexit.register(say, 'fifth')\n"
        "atexit.register(say, 'fourth')\n"
        "threading._register_atexit(end.set)\n"
        "threading._register_atexit(say, 'second')\n"
        "threading._register_atexit(say, 'first')\n"
        "threading.Thread(target=work).start()\n"
        "answer = lambda: ''\n",
    )
    loaded.retire()
    assert seen.read_text() == "first second thread fourth fifth "


def test_a_handler_that_hangs_holds_up_no_other(
    isolation: ImportsIsolation,
    make_source: MakeSource,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    loaded = load(
        isolation,
        make_source,
        "import atexit, os, pathlib, time\n"
        f"def hang():\n    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        f"atexit.register(pathlib.Path({str(seen)!r}).touch)\n"
        "atexit.register(hang)\n"
        "answer = lambda: ''\n",
    )
    application = weakref.ref(loaded.application)
    assert not loaded.retire()
    assert seen.exists()
    (said,) = messages(caplog, "VAN040")
    assert said.startswith("a.test: ") and "exit handler app.hang" in said
    gate.touch()
    wait(lambda: gc.collect() >= 0 and application() is None, "the end of the release")


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_that_goes_on_is_named(
    isolation: ImportsIsolation,
    make_source: MakeSource,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    daemon: bool,
) -> None:
    gate = tmp_path / "gate"
    loaded = load(isolation, make_source, LOOP.format(gate=str(gate), daemon=daemon))
    assert not loaded.retire()
    (said,) = messages(caplog, "VAN040")
    assert "thread 'the poller'" in said and 'isolation="process"' in said
    gate.touch()


def test_a_process_that_ends_waits_for_no_daemon_thread(
    make_source: MakeSource, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    isolation = ImportsIsolation(patience=3600)
    gate = tmp_path / "gate"
    loaded = load(isolation, make_source, LOOP.format(gate=str(gate), daemon=True))
    isolation.closing()
    loaded.retire()
    isolation.shutdown(5)
    assert not messages(caplog, "VAN040")
    gate.touch()


def test_a_connection_that_a_request_uses_stays_open(
    isolation: ImportsIsolation, make_source: MakeSource, tmp_path: Path
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    loaded = load(
        isolation,
        make_source,
        "import os, sqlite3, time\n"
        "connection = sqlite3.connect(':memory:', check_same_thread=False)\n"
        "def answer():\n"
        f"    open({str(begun)!r}, 'w').close()\n"
        f"    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        "    try: return str(connection.execute('select 7').fetchone())\n"
        "    finally: connection.close()\n",
    )
    answers: list[str] = []
    request = threading.Thread(target=lambda: answers.append(get(loaded)))
    request.start()
    wait(begun.exists)
    assert loaded.retire()
    gate.touch()
    request.join()
    assert answers == ["(7,)"]
