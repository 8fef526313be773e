"""``.env`` files: lines of NAME=value, read as python-dotenv reads them, without ``${NAME}``."""

from __future__ import annotations

import re
from collections.abc import Iterator

_EMPTY = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?(?:'([^'\n]+)'|([^=#\s]+))[ \t]*=")
_SINGLE = re.compile(r"[ \t]*'((?:[^'\\]|\\.)*)'", re.DOTALL)
_DOUBLE = re.compile(r'[ \t]*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_COMMENT = re.compile(r"(?<=\s)#.*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPED = re.compile(r"\\([\\'\"abfnrtv])")


class DotenvError(ValueError):
    """A line that cannot be read; its text, which may be a secret, is not said."""

    def __init__(self, line: int) -> None:
        super().__init__("NAME=value is wanted; a value in quotes ends in the same quote")
        self.line = line


def parse(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each variable; raises DotenvError."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    position = 0
    while position < len(text):
        if empty := _EMPTY.match(text, position):
            position = empty.end()
            continue
        line = text.count("\n", 0, position) + 1
        name = _NAME.match(text, position)
        if name is None:
            raise DotenvError(line)
        value, position = _value(text, name.end(), line)
        yield line, name[1] or name[2], value


def _value(text: str, position: int, line: int) -> tuple[str, int]:
    """The value that begins at ``position``, and where the next line does."""
    quoted = _SINGLE.match(text, position) or _DOUBLE.match(text, position)
    if quoted is None:
        end = text.find("\n", position) % (len(text) + 1)  # its length where there is none
        plain = _COMMENT.sub("", text[position:end]).strip()
        if plain.startswith(("'", '"')):
            raise DotenvError(line)
        return plain, end + 1
    rest = _EMPTY.match(text, quoted.end())
    if rest is None:
        raise DotenvError(line)
    if quoted.re is _SINGLE:
        return re.sub(r"\\([\\'])", r"\1", quoted[1]), rest.end()
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), quoted[1]), rest.end()
