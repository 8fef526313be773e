"""van.toml: TOML checked against the table of settings; what is wrong is named by file and line."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from mod_wsgi_van import checks
from mod_wsgi_van.checks import Values, WrongKey
from mod_wsgi_van.settings import Checks, router_checks

PATH = "/etc/mod_wsgi_van/van.toml"
ENVIRONMENT = "MOD_WSGI_VAN_CONFIG"

_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_MOST_TEXT = 200  # characters of what tomllib says, which may quote all of a file

# A string that does not end matches too, and no step is taken back: text may be made to be slow.
_LONG_STRING = r'"""(?:\\.?|[^\\])*?(?:"{3,5}|\Z)|' + r"'''.*?(?:'{3,5}|\Z)"
_STRING = re.compile(
    rf'{_LONG_STRING}|"(?:\\.|[^"\\\n])*+"?|' + r"'[^'\n]*+'?|#[^\n]*+", re.DOTALL
)  # or a comment
_BEGIN = re.compile(r"\s*+(?:\[{1,2}+([^]]*+)\]|([^=#\s][^=#]*+)=)")  # of a table, or of a value
_NAME = re.compile(r'"([^"]*)"|' + r"'([^']*)'|([\w-]+)")

# tomllib takes time that grows with the square of the parts of a key: 41 s for 32,000 of them.
_PARTS = 16
_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{_PARTS}}}")


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
    bare = _STRING.sub(lambda found: "s" + "\n" * found[0].count("\n"), text)
    if long := _LONG_KEY.search(bare):
        line = bare.count("\n", 0, long.start()) + 1
        raise ConfigError(f"{path}:{line}: a key has at most {_PARTS} parts")
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
    """The line of a key, or of the innermost table above it; a guess where keys are escaped."""
    best, deepest = 1, 0
    table: tuple[str, ...] = ()
    text = re.sub(
        _LONG_STRING, lambda found: "''" + "\n" * found[0].count("\n"), text, flags=re.DOTALL
    )
    for number, line in enumerate(text.split("\n"), 1):
        found = _BEGIN.match(line)
        if found is None:
            continue
        names = tuple("".join(name) for name in _NAME.findall(found[1] or found[2]))
        table, names = (names, names) if found[1] else (table, (*table, *names))
        depth = min(len(names), len(at))
        if depth > deepest and names[:depth] == at[:depth]:
            best, deepest = number, depth
    return best
