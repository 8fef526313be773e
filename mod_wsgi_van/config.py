"""van.toml: TOML checked against the table of settings; what is wrong is named by file and line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mod_wsgi_van import checks
from mod_wsgi_van.checks import Values, WrongKey
from mod_wsgi_van.settings import Checks, router_checks

PATH = "/etc/mod_wsgi_van/van.toml"
ENVIRONMENT = "MOD_WSGI_VAN_CONFIG"

_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_MOST_TEXT = 200  # characters of what tomllib says, which may quote all of a file

# What tells where a statement ends: at the end of a line that is in no string and no bracket.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|' + r"'''.*?'''|" + r'"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|#[^\n]*|\n|[\[\]{}]",
    re.DOTALL,
)


class ConfigError(ValueError):
    """A van.toml that cannot be used; the text begins with its path and line."""


def load(path: str | os.PathLike[str] | None = None) -> Values:
    """Return the settings of an administrator's file, for a Router.

    By default it is the one that the environment variable MOD_WSGI_VAN_CONFIG names, else PATH.
    """
    named = os.fspath(path) if path is not None else os.environ.get(ENVIRONMENT) or PATH
    try:
        text = Path(named).read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{named}: {reason}; {ENVIRONMENT} may name another file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{named}: it is not UTF-8: {error}") from error
    return parse(text, named, router_checks())


def parse(text: str, path: str, allowed: Checks) -> Values:
    """Return the values of ``text``, checked; raises ConfigError."""
    try:
        given = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        found = _AT.search(said)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: {_AT.sub('', said)[:_MOST_TEXT]}") from error
    try:
        return checks.table(allowed, given)
    except WrongKey as error:
        raise ConfigError(f"{path}:{_line(text, error.at)}: {error}") from error


def _line(text: str, at: tuple[str, ...]) -> int:
    """The line of a key, or of the innermost table above it that has a line of its own."""
    best, deepest = 1, 0
    table: tuple[str, ...] = ()
    for line, statement in _statements(text):
        stripped = statement.strip()
        if not stripped or stripped.startswith("#"):
            continue
        keys: Any = tomllib.loads(statement)
        if stripped.startswith("["):
            table = tuple(_names(keys))
            depth = len(table)
        elif at[: len(table)] != table:
            continue
        else:
            depth = len(table)
            for key in at[depth:]:
                if not isinstance(keys, dict) or key not in keys:
                    break
                keys, depth = keys[key], depth + 1
        if depth > deepest and table == at[: len(table)]:
            best, deepest = line, depth
    return best


def _names(keys: Any) -> Iterator[str]:
    """The names of a header, from the table that it alone makes."""
    while isinstance(keys, dict) and keys:
        ((name, keys),) = keys.items()
        yield name


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of valid TOML, each with the number of its first line."""
    start, line, began, depth = 0, 1, 1, 0
    for token in _TOKEN.finditer(text + "\n"):
        found = token[0]
        line += found.count("\n")
        if found in ("[", "{"):
            depth += 1
        elif found in ("]", "}"):
            depth -= 1
        elif found == "\n" and not depth:
            yield began, text[start : token.end()]
            start, began = token.end(), line
