"""A directory for sockets: their paths are short."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def directory(open_path: Path) -> Path:
    path = open_path / "status"
    path.mkdir()
    return path
