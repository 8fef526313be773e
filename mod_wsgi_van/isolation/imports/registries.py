"""Codecs and error handlers: the interpreter has one table of each, and keeps what it found there.

So what stands in these tables for a release is a function that asks each time who is asking.
"""

from __future__ import annotations

import _codecs
import codecs
import encodings
import os
import sys
import threading
from typing import Any

from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.system import MARK, System, put

_KINDS = (
    "encode", "decode", "streamreader", "streamwriter", "incrementalencoder", "incrementaldecoder",
)  # fmt: skip

_CODECS = (os.path.dirname(encodings.__file__) + os.sep, codecs.__file__)

_lock = threading.Lock()  # guards _before
_before: dict[str, Any] = {}  # an error handler that is dispatched: what it was without


class _Dispatched(codecs.CodecInfo):
    """What the interpreter remembers for a name that some release has a codec for."""

    @property
    def _is_text_encoding(self) -> bool:  # type: ignore[override]
        system = asking(2)
        found = None if system is None else _own(system, self.name)
        return getattr(found, "_is_text_encoding", True)


def _part(name: str, kind: int) -> Any:
    def part(*arguments: Any, **named: Any) -> Any:
        system = asking(2)
        found = None if system is None else _own(system, name)
        if found is None:
            raise LookupError(f"unknown encoding: {name}")
        function = found[kind] if kind < 4 else getattr(found, _KINDS[kind])
        return function(*arguments, **named)

    return part


def search(name: str) -> Any:
    """The one search function that the interpreter knows of all releases'."""
    system = asking(2)
    if system is None or _own(system, name) is None:
        return None
    parts: Any = [_part(name, kind) for kind in range(len(_KINDS))]
    return _Dispatched(*parts, name=name)  # type: ignore[misc]


def _own(system: System, name: str) -> Any:
    known = system.codecs_found
    if name not in known:
        for function in list(system.codecs):
            found = system.call(function, name)
            if found is not None:
                if not isinstance(found, tuple) or len(found) != 4:
                    raise TypeError("codec search functions must return 4-tuples")
                known[name] = found
                break
    return known.get(name)


def front(system: System, names: dict[str, Any]) -> None:
    """``_codecs`` as a release sees it."""

    def register(search_function: Any, /) -> None:
        if not callable(search_function):
            raise TypeError("argument must be callable")
        system.codecs.append(search_function)

    def unregister(search_function: Any, /) -> None:
        if search_function in system.codecs:
            system.codecs.remove(search_function)
            system.codecs_found.clear()

    def lookup(encoding: str, /) -> Any:
        """The release's own classes; the interpreter's table has those of the daemon."""
        found = _codecs.lookup(encoding)  # raises what the real function raises
        if type(found) is not _Dispatched:
            encodings = system.import_module("encodings")
            name = encodings.normalize_encoding(encoding).lower()
            return system.call(encodings.search_function, name) or found
        if (found := _own(system, found.name)) is None:
            raise LookupError(f"unknown encoding: {encoding}")
        return found

    def register_error(errors: str, handler: Any, /) -> None:
        if not callable(handler):
            raise TypeError("handler must be callable")
        system.error_handlers[errors] = handler
        _dispatch(errors)

    def lookup_error(name: str, /) -> Any:
        found = system.error_handlers.get(name)
        if found is None:
            found = _before[name] if name in _before else _codecs.lookup_error(name)
        if found is None:
            raise LookupError(f"unknown error handler name '{name}'")
        return found

    put(system, names, "_codecs", register, unregister, lookup, register_error, lookup_error)


def _dispatch(errors: str) -> None:
    with _lock:
        if errors in _before:
            return
        try:
            before = _codecs.lookup_error(errors)
        except LookupError:
            before = None
        _codecs.register_error(errors, _handler(errors, before))
        _before[errors] = before


def _asking_through_codecs() -> System | None:
    """Codecs in Python are the daemon's, and call C code that calls the handler."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_CODECS):
        frame = frame.f_back
    found: System | None = frame.f_builtins.get(MARK)
    return found


def _handler(errors: str, before: Any) -> Any:
    def handle(error: Any) -> Any:
        system = _asking_through_codecs()
        found = before if system is None else system.error_handlers.get(errors, before)
        if found is None:
            raise LookupError(f"unknown error handler name '{errors}'")
        return found(error)

    return handle


def after_fork() -> None:
    """Another thread may have held the lock when the process forked."""
    global _lock
    _lock = threading.Lock()
