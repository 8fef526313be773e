"""Bytecode files are not trusted where they may be of another edit of the same second.

A ``.pyc`` names its source's size and mtime in whole seconds: an edit in place that keeps the
size, within the second of the last load, would be answered with the old code.
"""

from __future__ import annotations

import os
import time
from typing import Any

_YOUNG = 2.0  # seconds: whole seconds of mtime, and file systems that keep even ones only (FAT)
_TIMESTAMP_FLAGS = bytes(4)  # bytes 4 to 8 of a .pyc that is checked by mtime (PEP 552)


def distrust_young_bytecode(external: Any) -> None:
    """Change the source loader of one private ``importlib._bootstrap_external``."""
    loader = external.SourceFileLoader
    path_stats, get_data = loader.path_stats, loader.get_data

    def careful_path_stats(self: Any, path: str) -> Any:
        """An OSError makes importlib neither read nor write bytecode for this source."""
        if time.time() - os.stat(path).st_mtime < _YOUNG:
            raise OSError(f"{path} has just been written")
        return path_stats(self, path)

    def careful_get_data(self: Any, path: str) -> Any:
        """An OSError makes importlib compile the source, and write the bytecode again."""
        data = get_data(self, path)
        if (
            path.endswith(".pyc")
            and data[4:8] == _TIMESTAMP_FLAGS
            and os.stat(path).st_mtime_ns <= os.stat(self.path).st_mtime_ns
        ):
            raise OSError(f"{path} is not younger than its source")
        return data

    loader.path_stats = careful_path_stats
    loader.get_data = careful_get_data
