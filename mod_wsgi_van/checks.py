"""Checks of single values: each returns a value as it is kept, or says what is wanted instead.

They raise ValueError. The table of settings names the check of each setting.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mod_wsgi_van.errors import BadHost
from mod_wsgi_van.hosts import Pattern, normalise

# Seconds. Whatever is longer is taken for this: epoll_wait(2) counts milliseconds in 31 bits.
LONGEST = 1_000_000

# What C code takes; and int turns no number of more than some thousand digits into text.
MOST = 2**63 - 1

# Variables that say what an interpreter or the dynamic linker loads: no site sets them by a file.
RESERVED = ("PYTHON*", "LD_*", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30}
_SHOWN = 80  # characters of a name that a file may have made up
_PLAIN = re.compile(r"[\w*.-]+", re.ASCII)


class WrongKey(ValueError):
    """``at``: the key that is wrong, in the tables that lead to it."""

    def __init__(self, at: tuple[str, ...], text: str) -> None:
        super().__init__(f"{'.'.join(map(_shown, at))}: {text}")
        self.at = at
        self.text = text


class Values(dict[str, Any]):
    """A table of settings that can be the default of a field: nobody changes one."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def _shown(name: str) -> str:
    cut = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
    return cut if _PLAIN.fullmatch(cut) else ascii(cut)


def one_of(allowed: Sequence[str], value: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"allowed are {', '.join(map(repr, allowed))}")
    return value


def number(whole: bool, zero: str, value: Any) -> Any:
    least = "0 or more" if zero else "more than 0"
    wanted = f"a {'whole number' if whole else 'number of seconds'} is wanted, {least}"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(wanted)
    if not 0 <= value < math.inf or not (value or zero):
        raise ValueError(wanted)
    if whole and value > MOST:
        raise ValueError(f"{wanted}, at most {MOST}")
    return value if whole else min(value, LONGEST)


def size(value: Any) -> int:
    """Bytes: a number of them, or text such as 300M."""
    found = re.fullmatch(r"([0-9]{1,19})([KMG]?)", value) if isinstance(value, str) else None
    if found:
        value = int(found[1]) << _SHIFTS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(
            f"a whole number of bytes is wanted, 0 or more, at most {MOST}, or one of K, M or G"
            ' (of 1024 each) as "300M"'
        )
    return value


def weight(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000:
        raise ValueError("a whole number from 1 to 10000 is wanted")
    return value


def part(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a part is wanted, from 0 to 1")
    return float(value)


def directory(value: Any) -> str:
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError("the path of a directory is wanted")
    return path


def user(value: Any) -> str:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        raise ValueError("the name of a user is wanted")
    return value


def group(value: Any) -> str:
    if not isinstance(value, str) or (value and not _PLAIN.fullmatch(value)):
        raise ValueError("the name of a group is wanted")
    return value


def inside(value: Any) -> str:
    if not isinstance(value, str) or not value or os.path.isabs(value) or "\0" in value:
        raise ValueError("a path relative to the site's directory is wanted")
    if os.path.normpath(value).split(os.sep)[0] == os.pardir:
        raise ValueError("the path must not leave the site's directory")
    return value


def identifier(kind: str, value: Any) -> str:
    dotted = isinstance(value, str) and kind == "module"
    for part in value.split(".") if dotted else [value]:
        if not isinstance(part, str) or not part.isidentifier():
            raise ValueError(f"the name of a Python {kind} is wanted")
    return str(value)


def pattern(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string is wanted")
    return Pattern(value).pattern


def names(value: Any) -> tuple[str, ...]:
    # One string is the mistake that is made most often.
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError("a sequence of strings is wanted, such as ['x']")
    items = tuple(value)
    for item in items:
        if not isinstance(item, str) or not item or "\0" in item:
            raise ValueError(f"{reprlib.repr(item)} is not a name, glob or path")
    return items


def paths(value: Any) -> tuple[str, ...]:
    paths = names(value)
    for path in paths:
        if os.path.isabs(path):
            raise ValueError(f"{reprlib.repr(path)} is not relative to the site's directory")
    return paths


def variables(value: Any) -> tuple[str, ...]:
    variables = names(value)
    for item in variables:
        if item.startswith("="):
            raise ValueError(f"{reprlib.repr(item)} is neither a name, nor a glob, nor NAME=value")
    return variables


def few(most: int, check: Callable[[Any], tuple[str, ...]], value: Any) -> tuple[str, ...]:
    items = check(value)
    if len(items) > most:
        raise ValueError(f"at most {most} are allowed")
    return items


def within(value: Any) -> tuple[str, ...]:
    return tuple(map(inside, names(value)))


def entry(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string is wanted, such as 'module:object'")
    if value:
        module, _, name = value.partition(":")
        try:
            identifier("module", module)
            identifier("object", name.removesuffix("()"))
        except ValueError:
            raise ValueError("'module:object' or 'module:factory()' is wanted") from None
    return value


def request_path(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(/[!-\"$-~]*)?", value):
        raise ValueError("a path such as '/health' is wanted, which may have a query")
    return value


def env(value: Any) -> Values:
    if not isinstance(value, Mapping):
        raise ValueError('a table is wanted, such as NAME = "value"')
    for name, text in value.items():
        at = (str(name),)
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise WrongKey(at, "the name of an environment variable is wanted")
        if any(fnmatch.fnmatchcase(name, glob) for glob in RESERVED):
            raise WrongKey(at, f"these are not for sites to set: {', '.join(RESERVED)}")
        if not isinstance(text, str) or "\0" in text:
            raise WrongKey(at, "a string is wanted")
    return Values(value)


def table(checks: Mapping[str, Callable[[Any], Any]], given: Any) -> Values:
    """Check a table by the check of each key; what is wrong in it is named by WrongKey."""
    if not isinstance(given, Mapping):
        raise ValueError("a table is wanted")
    kept = Values()
    for name, value in given.items():
        if name not in checks:
            near = difflib.get_close_matches(str(name)[:_SHOWN], checks, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise WrongKey((str(name),), f"no such key; {meant}allowed are {', '.join(checks)}")
        try:
            kept[name] = checks[name](value)
        except WrongKey as error:
            raise WrongKey((name, *error.at), error.text) from None
        except ValueError as error:
            raise WrongKey((name,), str(error)) from None
    return kept


def host(value: Any, *, wild: bool = False) -> str:
    """The normalised name of a site; ``wild``: or one with ``*.`` before it."""
    if not isinstance(value, str):
        raise ValueError("the name of a host is wanted")
    star = "*." if wild and value.startswith("*.") else ""
    try:
        return star + normalise(value.removeprefix(star))
    except BadHost:
        raise ValueError(f"{reprlib.repr(value)} is not the name of a host") from None


def aliases(value: Any) -> tuple[str, ...]:
    return tuple(host(name, wild=True) for name in names(value))


def sites(checks: Mapping[str, Callable[[Any], Any]], given: Any) -> Values:
    """A table for each site, by its name; no name belongs to two."""
    if not isinstance(given, Mapping):
        raise ValueError("a table is wanted")
    kept, taken = Values(), set()
    for name, values in given.items():
        at = (str(name),)
        try:
            kept[host(name)] = table(checks, values)
            for each in (host(name), *kept[host(name)].get("aliases", ())):
                if each in taken:
                    raise ValueError(f"{each} is the name of two sites")
                taken.add(each)
        except WrongKey as error:
            raise WrongKey((*at, *error.at), error.text) from None
        except ValueError as error:
            raise WrongKey(at, str(error)) from None
    return kept
