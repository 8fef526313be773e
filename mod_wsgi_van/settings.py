"""Checks the settings of a Router; a wrong one is a ValueError that says what is allowed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

WATCH = ("auto", "inotify", "polling")
ISOLATION = ("auto", "imports", "process")


def choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: allowed are {', '.join(map(repr, allowed))}")


def seconds(name: str, value: object, *, zero: bool = False) -> None:
    wrong = isinstance(value, bool) or not isinstance(value, (int, float))
    if wrong or not math.isfinite(value) or value < 0 or (value == 0 and not zero):  # type: ignore
        least = "0 or more" if zero else "more than 0"
        raise ValueError(f"{name}={value!r}: a number of seconds is wanted, {least}")


def below_vhost(name: str, value: object) -> None:
    """Check a path that is relative to the vhost's directory and stays inside it."""
    if not isinstance(value, str) or not value or os.path.isabs(value) or "\0" in value:
        raise ValueError(f"{name}={value!r}: a path relative to the vhost's directory is wanted")
    if os.path.normpath(value).split(os.sep)[0] == os.pardir:
        raise ValueError(f"{name}={value!r}: the path must not leave the vhost's directory")


def identifier(name: str, value: object, *, dotted: bool = False) -> None:
    parts = value.split(".") if isinstance(value, str) and dotted else [value]
    if not all(isinstance(part, str) and part.isidentifier() for part in parts):
        raise ValueError(f"{name}={value!r}: the name of a Python {_kind(dotted)} is wanted")


def _kind(dotted: bool) -> str:
    return "module (dots allowed)" if dotted else "object"


def names(name: str, value: object) -> None:
    """Check a sequence of strings; one string is the mistake that is made most often."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ValueError(f"{name}={value!r}: a sequence of strings is wanted, such as ['x']")
    for item in value:
        if not isinstance(item, str) or not item:
            raise ValueError(f"{name}: {item!r} is not a name, glob or path")
