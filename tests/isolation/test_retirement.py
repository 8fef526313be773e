"""A retired release is freed, alone and whole; what others hold of it goes on working."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from tests.isolation.test_contract import get
from tests.support.client import get as get_from
from tests.support.vhosts import deploy, release
from tests.support.waiting import wait

MakeSource = Callable[..., Source]
Load = Callable[[str], ImportsInstance]


@pytest.fixture
def load(make_source: MakeSource) -> Iterator[Load]:
    """Load an application of this text, of a release that never has a second without requests."""
    isolation = ImportsIsolation(idle=lambda: False)
    loaded: list[ImportsInstance] = []

    def load(text: str) -> ImportsInstance:
        host = f"h{len(loaded)}.test"
        loaded.append(isolation.load(make_source({"wsgi/app.py": text}, host)))
        return loaded[-1]

    yield load
    for one in loaded:
        one.retire()
    isolation.shutdown(5)


def names(loaded: ImportsInstance) -> dict[str, Any]:
    """The globals of an application's module."""
    found: dict[str, Any] = loaded.application.__globals__  # type: ignore[attr-defined]
    return found


HELLO = "def answer(): return 'hello'\n"
KEEPS = f"{HELLO}class K:\n    def method(self): return answer\nkept = [K() for _ in range(100)]\n"


def test_no_collection_of_an_application_looks_at_what_is_loaded(load: Load) -> None:
    one = load(f"{KEEPS}")
    kept = id(names(one)["kept"])
    wait(lambda: kept not in [id(each) for each in gc.get_objects()])


def test_a_release_goes_when_it_is_retired(load: Load) -> None:
    one, before = load(KEEPS), gc.get_freeze_count()
    assert get(one) == "hello"
    found = weakref.ref(names(one)["K"])
    wait(lambda: gc.get_freeze_count() > before)
    frozen = gc.get_freeze_count()
    one.retire()
    assert found() is None
    assert gc.get_freeze_count() > frozen / 2  # no other release was unfrozen for that


def test_a_release_goes_before_it_is_frozen(load: Load) -> None:
    one = load(KEEPS)
    found = weakref.ref(names(one)["K"])
    one.retire()
    assert found() is None


def test_what_others_hold_stays_whole(load: Load) -> None:
    one = load(KEEPS)
    kept, found = names(one)["kept"][0], weakref.ref(names(one)["K"])
    one.retire()
    assert kept.method()() == "hello"
    assert len(kept.method().__globals__["kept"]) == 100
    del kept
    wait(lambda: found() is None)


def test_a_thread_that_goes_on_finds_everything(load: Load) -> None:
    one = load(
        "import threading\n"
        "go, turns, end = threading.Event(), [0], threading.Event()\n"
        "def value(): return len(K.__name__)\n"
        "class K: pass\n"
        "def work():\n"
        "    while not go.wait(0.001):\n"
        "        turns[0] += value()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "def answer(): return str(turns[0])\n"
    )
    turns, found = names(one)["turns"], weakref.ref(names(one)["K"])
    go = weakref.ref(names(one)["go"])
    wait(lambda: turns[0] > 0)
    one.retire()
    before = turns[0]
    wait(lambda: turns[0] > before + 20)
    event = go()
    assert event is not None
    event.set()
    del event
    wait(lambda: found() is None)


def test_a_response_that_is_still_read_goes_on(load: Load) -> None:
    one = load(
        "TEXT = [b'x'] * 3\n"
        "class K: pass\n"
        "def parts():\n"
        "    import colorsys\n"
        "    for each in TEXT:\n"
        "        yield each\n"
        "    yield K.__name__.encode()\n"
        "def answer(): return ''\n"
    )
    found = weakref.ref(names(one)["K"])
    parts = names(one)["parts"]()
    assert next(parts) == b"x"
    one.retire()
    assert list(parts) == [b"x", b"x", b"K"]
    del parts
    wait(lambda: found() is None)


def test_the_ends_of_an_application_find_their_globals(load: Load, tmp_path: Path) -> None:
    said = tmp_path / "said"
    one = load(
        "import atexit, weakref\n"
        f"NAME = {str(said)!r}\n"
        "def say(what):\n"
        "    with open(NAME, 'a') as file:\n"
        "        file.write(what + NAME[:0] + chr(10))\n"
        "class K:\n"
        "    def __del__(self): say('del')\n"
        "class Watched:\n"
        "    def __init__(self): self.itself = self\n"
        "kept = K()\n"
        "kept.itself = kept\n"
        "atexit.register(say, 'atexit')\n"
        "watched = Watched()\n"
        "reference = weakref.ref(watched, lambda _: say('never'))\n"
        "finalize = weakref.finalize(watched, say, 'finalize')\n"
        "def generator():\n"
        "    try:\n"
        "        yield\n"
        "    finally:\n"
        "        say('generator')\n"
        "suspended = generator()\n"
        "next(suspended)\n" + HELLO
    )
    found = weakref.ref(names(one)["K"])
    one.retire()
    wait(lambda: found() is None)
    lines = said.read_text().split()
    assert lines[:2] == ["finalize", "atexit"]  # the last that was registered comes first
    assert sorted(lines[2:]) == ["del", "generator"]


def test_a_weak_reference_of_another_hears_of_the_end(load: Load) -> None:
    one = load(KEEPS)
    heard = threading.Event()
    reference = weakref.ref(names(one)["kept"][0], lambda _: heard.set())
    one.retire()
    assert heard.is_set() and reference() is None


def test_an_object_without_a_collector_still_finds_its_globals(
    load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The collector does not track it, so it is finalized only when it goes."""
    said = tmp_path / "said"
    one = load(
        f"NAME = {str(said)!r}\n"
        "class Handle(int):\n"
        "    __slots__ = ()\n"
        "    def __del__(self):\n"
        "        with open(NAME, 'a') as file: file.write('gone')\n"
        "class K:\n"
        "    def __init__(self): self.itself, self.handle = self, Handle(1000)\n"
        "kept = K()\n" + HELLO
    )
    one.retire()
    assert said.read_text() == "gone"
    assert "Traceback" not in capfd.readouterr().err


SEEN = """
import weakref
class K:
    def method(self): return app
def app(environ, start_response):
    environ["test.seen"].append(weakref.ref(K))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{number}"]
"""


def test_a_release_is_freed_while_requests_go_on(tmp_path: Path, make_router: Any) -> None:
    def build(host: str, number: int) -> None:
        deploy(tmp_path, host, release(tmp_path, host, number, SEEN.format(number=number)))

    def ask(host: str, seen: list[Any]) -> str:
        return str(get_from(router.application, host, **{"test.seen": seen}).body)

    def others() -> None:
        while not done.wait(0.001):
            ask("b.test", [])

    build("a.test", 0)
    build("b.test", 0)
    router = make_router(isolation="imports")
    done, seen = threading.Event(), list[weakref.ref[Any]]()
    assert ask("a.test", seen) == ask("b.test", []) == "0"
    thread = threading.Thread(target=others)
    thread.start()
    try:
        for number in range(1, 6):
            build("a.test", number)
            wait(lambda wanted=str(number): ask("a.test", seen) == wanted)
        wait(lambda: len({id(found) for each in seen if (found := each()) is not None}) == 1)
    finally:
        done.set()
        thread.join()


def test_nothing_is_freed_and_no_thread_is_left_once_the_process_ends(load: Load) -> None:
    isolation = ImportsIsolation()
    one = load(KEEPS)
    found = weakref.ref(names(one)["K"])
    one._isolation = isolation
    isolation.closing()
    one.retire()
    assert found() is not None


def test_objects_that_asyncio_keeps_to_use_again(load: Load) -> None:
    """Up to Python 3.13 they keep their type, and with it what its C module refers to."""
    for _ in range(3):
        one = load(
            "import asyncio\n"
            "async def wait_for(future): return await future\n"
            "async def main():\n"
            "    futures = [asyncio.get_running_loop().create_future() for _ in range(50)]\n"
            "    tasks = [asyncio.create_task(wait_for(future)) for future in futures]\n"
            "    await asyncio.sleep(0)\n"
            "    for future in futures: future.set_result(1)\n"
            "    await asyncio.gather(*tasks)\n"
            "asyncio.run(main())\n" + HELLO
        )
        found = weakref.ref(names(one)["main"])
        one.retire()
        wait(lambda found=found: found() is None)
