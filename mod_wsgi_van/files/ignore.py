"""Names whose change is never a reason to reload."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

# Bytecode, what editors and rsync write on the way to the real file, VCS directories, environments,
# and data that applications write beside their code (Django's db.sqlite3, logs): no code in any of
# them. 4913 is the name with which Vim probes a directory, `.*.??????` what rsync writes to.
DEFAULT = (
    "__pycache__",
    "*.pyc",
    "*.pyo",
    "*.swp",
    "*.swo",
    "*.swx",
    "*~",
    "*.tmp",
    "*.bak",
    ".#*",
    "#*#",
    "4913",
    ".~*",
    ".*.??????",
    "___jb_*___",
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    "CVS",
    ".venv",
    "venv",
    "node_modules",
    ".DS_Store",
    ".nfs*",
    "*.log",
    "*.log.*",
    "*.pid",
    "*.sock",
    "*.db",
    "*.sqlite",
    "*.sqlite3",
    "*-journal",
    "*-wal",
    "*-shm",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)


class Ignore:
    """Tells whether a file or directory name (not a path) matches one of the globs."""

    def __init__(self, patterns: Iterable[str] = DEFAULT) -> None:
        self.patterns = tuple(patterns)
        translated = "|".join(fnmatch.translate(pattern) for pattern in self.patterns)
        self._match = re.compile(translated or r"(?!)").match

    def __call__(self, name: str) -> bool:
        return self._match(name) is not None
