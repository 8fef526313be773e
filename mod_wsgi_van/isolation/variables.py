"""Which environment variables of the daemon a site gets."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

# Set for another interpreter than the site's.
_NEVER = ("PYTHON*", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def passed_on(items: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What the setting ``process_environ`` makes of the daemon's variables."""
    given = dict(item.split("=", 1) for item in items if "=" in item)
    never = {key for glob in _NEVER for key in fnmatch.filter(environ, glob)}
    passed = {key for glob in items for key in fnmatch.filter(environ, glob)} - never
    return {key: environ[key] for key in passed} | given
