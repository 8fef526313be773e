"""What the process does on behalf of a release without a frame of it: new threads, and forks."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

from mod_wsgi_van.interpreter.collector import collector
from mod_wsgi_van.isolation.imports import extensions, internals
from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.importing import make_real_find_and_load
from mod_wsgi_van.isolation.imports.standins import table


def _make_starter(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        system = asking(2)
        if system is not None:
            # Its first frame has the release's builtins, whatever the thread runs.
            function = functools.partial(system.call, function)
        return original(function, *args, **kwargs)

    return start


class Replacements:
    """The functions of this interpreter that ask on whose behalf they are called.

    They are in place from the first load until the last isolation is shut down. ``_lock`` guards
    ``_users`` and ``_originals``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._originals: list[tuple[Any, str, Any]] = []
        self._watches_forks = False

    def install(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            self._replace(*internals.REAL_FIND_AND_LOAD, make_real_find_and_load)
            for owner, name in internals.THREAD_STARTERS:
                if hasattr(owner, name):
                    self._replace(owner, name, _make_starter)
            if not self._watches_forks:  # cannot be undone
                os.register_at_fork(
                    before=_before_fork,
                    after_in_child=_after_fork_in_child,
                    after_in_parent=_after_fork_in_parent,
                )
                self._watches_forks = True

    def uninstall(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                while self._originals:
                    owner, name, original = self._originals.pop()
                    setattr(owner, name, original)

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, make(original))


replacements = Replacements()


def _before_fork() -> None:
    if (system := asking(2)) is not None:
        for handlers in reversed(system.fork_handlers):
            _run(handlers, "before")
        system.lock.acquire()  # as the real import system does: it must be free in the child


def _after_fork_in_child() -> None:
    table.after_fork()
    extensions.after_fork()
    collector.after_fork()
    if (system := asking(2)) is not None:
        system.lock.release()
        for handlers in list(system.fork_handlers):
            _run(handlers, "after_in_child")


def _after_fork_in_parent() -> None:
    if (system := asking(2)) is not None:
        system.lock.release()
        for handlers in list(system.fork_handlers):
            _run(handlers, "after_in_parent")


def _run(handlers: dict[str, Any], moment: str) -> None:
    """CPython reports what a handler raises, and goes on; see run_at_forkers() in posixmodule.c."""
    if (handler := handlers.get(moment)) is not None:
        handler()
