"""What C code takes from the real ``sys``, where a release has assigned its own in its ``sys``.

``print``, tracebacks that C code writes, code compiled as "single" and ``breakpoint`` look there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.system import MARK, System, put


class Stream:
    """Stands in the real ``sys``; to the code of a release it is what its own ``sys`` has."""

    __slots__ = ("__weakref__", "genuine", "name")

    def __init__(self, name: str, genuine: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "genuine", genuine)

    def __getattribute__(self, attribute: str, _asking: Callable[[int], Any] = asking) -> Any:
        stream = _present(self, _asking(2))
        if stream is None:  # print() and others do nothing then
            return _nothing
        return getattr(stream, attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(_present(self, asking(2)), attribute, value)

    def __iter__(self) -> Any:
        return iter(_present(self, asking(2)))


def _nothing(*ignored: Any) -> None:
    """Do what is done without a stream."""


def _present(stream: Stream, system: System | None) -> Any:
    if system is None:
        return object.__getattribute__(stream, "genuine")
    return getattr(system.sys, object.__getattribute__(stream, "name"), None)


def genuine(stream: Any) -> Any:
    """The daemon's stream, for what stands in the real ``sys``."""
    return object.__getattribute__(stream, "genuine") if type(stream) is Stream else stream


def prepare(system: System) -> None:
    """Give a release the streams of the daemon to begin with, and a display hook of its own."""
    private = vars(system.sys)
    for name in ("stdin", "stdout", "stderr"):
        private[name] = genuine(getattr(sys, name, None))

    def displayhook(value: object, /) -> None:
        if value is None:
            return
        system.builtins["_"] = None
        text, stream = repr(value), getattr(system.sys, "stdout", None)
        if stream is None:
            raise RuntimeError("lost sys.stdout")
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoded = text.encode(stream.encoding, "backslashreplace")
            if hasattr(stream, "buffer"):
                stream.buffer.write(encoded)
            else:
                stream.write(encoded.decode(stream.encoding, "strict"))
        stream.write("\n")
        system.builtins["_"] = value

    put(system, private, "sys", displayhook)
    private["__displayhook__"] = private["displayhook"]


def _make_hook(name: str) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def hook(*arguments: Any, **keywords: Any) -> Any:
            system = asking(2)
            if system is None:
                return original(*arguments, **keywords)
            own = getattr(system.sys, name, None)
            if own is None:
                raise RuntimeError(f"lost sys.{name}")
            return system.call(own, *arguments, **keywords)

        return hook

    return make


def _make_unraisablehook(original: Any) -> Any:
    """Asks the release whose function it was, or else whose code let go of it."""

    def unraisablehook(unraisable: Any, /) -> None:
        function = unraisable.object
        if type(function) is MethodType:
            function = function.__func__
        names = getattr(function, "__builtins__", {}) if type(function) is FunctionType else None
        system = asking(2) if names is None else names.get(MARK)
        if system is None:
            original(unraisable)
        else:
            system.call(system.sys.unraisablehook, unraisable)

    return unraisablehook


def _make_stream(name: str) -> Callable[[Any], Any]:
    return lambda original: None if original is None else Stream(name, original)


# What stands in the real ``sys`` while releases are loaded.
REPLACED = (
    ("displayhook", _make_hook("displayhook")),
    ("breakpointhook", _make_hook("breakpointhook")),
    ("unraisablehook", _make_unraisablehook),
    *((name, _make_stream(name)) for name in ("stdin", "stdout", "stderr")),
)
