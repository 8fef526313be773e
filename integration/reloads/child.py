"""Tries one library in this process as the daemon would load it; run by each interpreter.

On its path are the project and watchdog alone. stdin and stdout: JSON. All is done in a thread that
is not the main one, as in the daemon.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import random
import sys
import threading
import time
import traceback
import weakref
from typing import Any

from integration.reloads import process_state
from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.isolation.contract import Instance, Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from tests.support.memory import private
from tests.support.threads import in_threads

PATIENCE = 500  # seconds: other work may go on beside this
FIRST = 10  # the reload that the last is compared with
RATIO = 1.3  # of memory: what the last may have of that
GROWTH_KB = 50  # of memory, for each reload
THREADS = 8
TURNS = 60  # of each thread
ENDING = 3.0  # seconds in which what a release left behind may end

Found = dict[str, Any]


def main() -> None:
    # Whoever waits for this process should see where it hangs.
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    job = json.load(sys.stdin)
    sources = [Source(**{k: _value(v) for k, v in each.items()}) for each in job["sources"]]
    found: Found = {}

    def work() -> None:
        try:
            if "times" in job:
                found.update(alone(sources[0], sources[1], job["expected"][0], job["times"]))
            else:
                found.update(together(sources, job["expected"]))
        except Exception:
            found.update(why="fails: " + traceback.format_exc())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print("\n" + json.dumps(found), flush=True)
    os._exit(0)  # some libraries do not let a process end


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def alone(source: Source, empty: Source, expected: str, times: int) -> Found:
    """Load, ask and retire one site ``times`` times, each time beside its predecessor.

    Returns why the library does not belong in this process, "", and KB of memory for each reload.
    """
    isolation = ImportsIsolation()
    isolation.load(empty)  # what the isolation changes for itself is no change of the library's
    before, counted = process_state.look(), {}
    current, applications = None, []
    kept: dict[int, Any] = {}
    shared: set[int] = set()
    for number in range(1, times + 1):
        try:
            new = isolation.load(source)
            answer = ask(new)
        except Exception as error:
            return {"why": said(number, error)}
        if answer != expected:
            return {"why": f"answers {answer[:60]!r} in load {number}, {expected[:60]!r} alone"}
        applications.append(weakref.ref(new.application))
        if number in (1, 2, times // 2):
            found = classes(new)
            shared |= found.keys() & kept.keys()  # of C code: its types are of no release
            kept |= found
        if number == 1 and (changed := process_state.changes(before)):
            return {"why": f"changes {changed}"}
        if current is not None:
            current.retire()
        current = new
        del new
        if number in (min(FIRST, times), times):
            collect()
            counted[number] = (private(), tasks(), descriptors())
    (first, *firsts), (last, *lasts) = counted[min(FIRST, times)], counted[times]
    kb = round((last - first) / 1024 / max(1, times - FIRST))
    assert current is not None
    current.retire()
    del current
    own = [kept[each] for each in kept.keys() - shared]
    return {"kb": kb, "why": left(applications, own, firsts, lasts) or grown(first, last, kb)}


def grown(first: int, last: int, kb: int) -> str:
    return f"grows by {kb:,} KB at each reload" if last > RATIO * first or kb > GROWTH_KB else ""


def left(applications: list[Any], kept: list[Any], before: list[int], after: list[int]) -> str:
    """What retired releases left behind, after a moment to end."""
    end = time.monotonic() + ENDING
    while True:
        collect()
        names = {f"{c.__module__}.{c.__qualname__}" for each in kept if (c := each())}
        alive = sum(application() is not None for application in applications)
        if (not names and not alive) or time.monotonic() > end:
            break
        time.sleep(0.1)
    if names:
        telling = min(names, key=lambda name: (name.split(".")[0] in sys.stdlib_module_names, name))
        more = f" and {len(names) - 1} more classes" if len(names) > 1 else ""
        return f"keeps {telling}{more} of releases that have ended"
    if alive:
        return f"keeps {alive} of {len(applications)} releases that have ended"
    for what, older, newer in zip(("threads", "open files"), before, after, strict=True):
        if newer > older:
            return f"leaves {what} behind: {older} after {FIRST} reloads, {newer} at last"
    return ""


def together(sources: list[Source], expected: list[str]) -> Found:
    """Ask the sites from several threads, while the first is loaded and retired throughout."""
    isolation = ImportsIsolation()
    loaded = [isolation.load(source) for source in sources]
    wrong: list[str] = []
    done = threading.Event()

    def check(site: int, instance: Instance) -> None:
        try:
            answer = ask(instance)
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        if answer != expected[site]:
            wrong.append(f"{answer[:60]!r} in place of {expected[site][:60]!r}")

    def churn() -> None:
        while not done.is_set():
            try:
                instance = isolation.load(sources[0])
                check(0, instance)
                instance.retire()
            except LoadError as error:
                wrong.append(said(2, error))

    def work(number: int) -> None:
        order = random.Random(number)
        for _ in range(TURNS):
            site = order.randrange(len(sources))
            check(site, loaded[site])

    churner = threading.Thread(target=churn)
    churner.start()
    in_threads(THREADS, work)
    done.set()
    churner.join()
    return {"why": f"answers beside another version {wrong[0]}" if wrong else ""}


def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    """What the applications here say is always that they are fine."""


def ask(instance: Instance) -> str:
    environ: dict[str, Any] = {"PATH_INFO": "/"}
    return b"".join(instance.application(environ, start_response)).decode()


def classes(instance: Instance) -> dict[int, weakref.ref[type]]:
    """The classes that a release finds in its modules and the daemon does not, by their ids."""
    modules = instance.application.__globals__["sys"].modules
    return {
        id(value): weakref.ref(value)
        for name, module in list(modules.items())
        if str(getattr(module, "__file__", "")).endswith(".py")
        for key, value in list(vars(module).items())
        if isinstance(value, type)
        and value.__module__ == name
        and getattr(sys.modules.get(name), key, None) is not value
    }


def collect() -> None:
    gc.unfreeze()
    gc.collect()
    gc.collect()  # for what finalizers let go of


def tasks() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def said(number: int, error: BaseException) -> str:
    details = getattr(error, "details", "").strip().splitlines()
    text = details[-1] if details else f"{type(error).__name__}: {error}"
    how = "does not load" if number == 1 else f"does not load for the {ordinal(number)} time"
    return f"{how} ({' '.join(text.split())[:100]})"


def ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


if __name__ == "__main__":
    main()
