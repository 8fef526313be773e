"""Names whose change is never a reason to reload."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable

from mod_wsgi_van.settings import IGNORED


class Ignore:
    """Tells whether a file or directory name (not a path) matches one of the globs."""

    def __init__(self, patterns: Iterable[str] = IGNORED) -> None:
        self.patterns = tuple(patterns)
        translated = "|".join(fnmatch.translate(pattern) for pattern in self.patterns)
        self._match = re.compile(translated or r"(?!)").match

    def also(self, patterns: tuple[str, ...]) -> Ignore:
        """This one, or one with further globs; the same object for the same globs."""
        return _joined(self.patterns, patterns) if patterns else self

    def __call__(self, name: str) -> bool:
        return self._match(name) is not None


@functools.lru_cache(maxsize=1000)  # sites with globs of their own
def _joined(patterns: tuple[str, ...], further: tuple[str, ...]) -> Ignore:
    return Ignore((*patterns, *further))
