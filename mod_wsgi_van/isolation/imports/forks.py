"""The functions of this interpreter that ask on whose behalf they are called, and its forks."""

from __future__ import annotations

import codecs
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from mod_wsgi_van.interpreter.allocation import share_arena
from mod_wsgi_van.interpreter.collector import collector
from mod_wsgi_van.isolation.imports import dates, extensions, fronts, internals, registries, streams
from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.importing import make_real_find_and_load
from mod_wsgi_van.isolation.imports.standins import table


class Replacements:
    """They are in place from the first load until the last isolation is shut down.

    ``lock`` guards ``_users`` and ``_originals``. A fork waits for it: a child would find it held
    for ever, and the work half done.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._users = 0
        self._originals: list[tuple[Any, str, Any, Any]] = []
        self._watching: dict[str, object] = {}

    def install(self) -> None:
        mine = object()
        if self._watching.setdefault("forks", mine) is mine:  # once, and for good
            os.register_at_fork(
                before=_before_fork,
                after_in_child=_after_fork_in_child,
                after_in_parent=_after_fork_in_parent,
            )
        with self.lock:
            self._users += 1
            if self._users > 1:
                return
            internals.meet_first()
            share_arena()
            self._replace(*internals.REAL_FIND_AND_LOAD, make_real_find_and_load)
            for name, make in streams.REPLACED:
                self._replace(sys, name, make)
            codecs.register(registries.search)
            table.open(table)
            for name in list(internals.real_modules):
                table.adopt(name)

    def uninstall(self) -> None:
        with self.lock:
            self._users -= 1
            if self._users == 0:
                table.close(table)
                codecs.unregister(registries.search)
                dates.put_back()
                if fronts.collected in gc.callbacks:
                    gc.callbacks.remove(fronts.collected)
                while self._originals:
                    owner, name, original, ours = self._originals.pop()
                    if getattr(owner, name, None) is ours:  # else somebody has replaced it again
                        setattr(owner, name, original)

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name, None)
        ours = make(original)
        self._originals.append((owner, name, original, ours))
        setattr(owner, name, ours)


replacements = Replacements()


def _before_fork() -> None:
    if (system := asking(2)) is not None:
        for handlers in reversed(system.fork_handlers):
            _run(handlers, "before")
        system.lock.acquire()  # as the real import system does: it must be free in the child
    replacements.lock.acquire()


def _after_fork_in_child() -> None:
    replacements.lock.release()
    table.after_fork()
    extensions.after_fork()
    registries.after_fork()
    collector.after_fork()
    if (system := asking(2)) is not None:
        system.lock.release()
        _lock_main_thread(dict.get(system.modules, "threading"))
        for handlers in list(system.fork_handlers):
            _run(handlers, "after_in_child")


def _after_fork_in_parent() -> None:
    replacements.lock.release()
    if (system := asking(2)) is not None:
        system.lock.release()
        for handlers in list(system.fork_handlers):
            _run(handlers, "after_in_parent")


def _lock_main_thread(threading: Any) -> None:
    """A thread of the server becomes the main thread of the child.

    The release's ``threading`` did not start it, and ends with an AssertionError where the main
    thread has no such lock (gh-102512, mended in later releases of CPython 3.12).
    """
    if threading is not None:
        current = threading._active.get(threading.get_ident())
        if getattr(current, "_tstate_lock", current) is None and current is not None:
            current._tstate_lock = threading.Lock()
            current._tstate_lock.acquire()


def _run(handlers: dict[str, Any], moment: str) -> None:
    """CPython reports what a handler raises, and goes on; see run_at_forkers() in posixmodule.c."""
    if (handler := handlers.get(moment)) is not None:
        handler()
