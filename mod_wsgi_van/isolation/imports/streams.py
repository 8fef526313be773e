"""What C code takes from the real ``sys``, where a release has assigned its own in its ``sys``.

``print``, tracebacks that C code writes, code compiled as "single" and ``breakpoint`` look there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any

from mod_wsgi_van.isolation.imports.asking import asking
from mod_wsgi_van.isolation.imports.system import MARK, System, put
from mod_wsgi_van.lines import escape

_LONGEST = 8192  # characters of a line


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


class Marked:
    """A stream of the daemon's, for one release: the site's name stands before each of its lines.

    What has no end of line yet waits for it, or for flush(), by thread: the daemon's stream is that
    of all sites. ``buffer`` and ``fileno()`` lead to the stream itself.
    """

    def __init__(self, stream: Any, host: str) -> None:
        self._stream = stream
        self._host = host
        self._begun = threading.local()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            return self._stream.write(text)  # raises its own error
        whole, newline, rest = (getattr(self._begun, "text", "") + text).rpartition("\n")
        if newline or len(rest) > _LONGEST:
            lines = whole.split("\n") if newline else []
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], ""
            self._stream.write("".join(f"[{self._host}] {escape(line)}\n" for line in lines))
        self._begun.text = rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        if getattr(self._begun, "text", ""):
            self.write("\n")
        self._stream.flush()


def prepare(system: System) -> None:
    """Give a release the streams of the daemon to begin with, and hooks of its own."""
    private = vars(system.sys)
    for name in ("stdin", "stdout", "stderr"):
        private[name] = stream = genuine(getattr(sys, name, None))
        if name != "stdin" and stream is not None:
            private[name] = Marked(stream, system.host)

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

    def help(*arguments: Any, **named: Any) -> None:
        """The daemon's writes to the daemon's ``sys.stdout``."""
        system.import_module("pydoc").help(*arguments, **named)

    def exit(code: Any = None) -> None:
        """The daemon's closes the daemon's ``sys.stdin``."""
        raise SystemExit(code)

    put(system, system.builtins, "builtins", help, exit)
    system.builtins["quit"] = system.builtins["exit"]
    put(system, private, "sys", displayhook)
    private["__displayhook__"] = private["displayhook"]
    private["breakpointhook"] = private["__breakpointhook__"] = _Breakpoint(system)


class Hook:
    """Stands in the real ``sys``; calls what the release that is asking has in its own.

    C code calls what the property returns: no frame of ours is between, where a debugger would
    stop.
    """

    __slots__ = ("genuine", "name")

    def __init__(self, name: str, genuine: Any) -> None:
        self.name, self.genuine = name, genuine

    @property
    def __call__(self) -> Any:
        if (system := asking(2)) is None:
            return self.genuine
        if (own := getattr(system.sys, self.name, None)) is None:
            raise RuntimeError(f"lost sys.{self.name}")
        return own


class _Breakpoint:
    """``sys.breakpointhook`` of a release, which asks the environment of the release."""

    __slots__ = ("_system",)

    def __init__(self, system: System) -> None:
        self._system = system

    @property
    def __call__(self) -> Any:
        load = self._system.import_module
        name = load("os").environ.get("PYTHONBREAKPOINT") or "pdb.set_trace"
        if name == "0":
            return _nothing
        module, dot, attribute = name.rpartition(".")
        try:
            return getattr(load(module if dot else "builtins"), attribute)
        except (ImportError, AttributeError, ValueError):
            text = f'Ignoring unimportable $PYTHONBREAKPOINT: "{name}"'
            load("warnings").warn(text, RuntimeWarning, stacklevel=2)
            return _nothing


def _make_hook(name: str) -> Callable[[Any], Any]:
    return lambda original: Hook(name, original)


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
