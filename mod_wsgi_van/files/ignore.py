"""Names whose change is never a reason to reload."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from mod_wsgi_van.settings import IGNORED


class Ignore:
    """Tells whether a file or directory name (not a path) matches one of the globs."""

    def __init__(self, patterns: Iterable[str] = IGNORED) -> None:
        self.patterns = tuple(patterns)
        translated = "|".join(fnmatch.translate(pattern) for pattern in self.patterns)
        self._match = re.compile(translated or r"(?!)").match

    def __call__(self, name: str) -> bool:
        return self._match(name) is not None
