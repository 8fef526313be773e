"""Virtual environments written by hand: what ``python3 -m venv`` makes, in no time."""

from __future__ import annotations

import sys
from pathlib import Path


def make_venv(path: Path) -> Path:
    """Make as much of an environment at ``path`` as an interpreter looks for; return ``path``."""
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    (path / "bin").mkdir(parents=True, exist_ok=True)
    (path / "bin" / "python").symlink_to(base)
    version = ".".join(map(str, sys.version_info[:3]))
    config = f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (path / "pyvenv.cfg").write_text(config)
    return path
