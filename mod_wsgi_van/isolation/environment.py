"""The virtual environment of a site, as its files describe it."""

from __future__ import annotations

import itertools
import os
import re
import stat
from dataclasses import dataclass

from mod_wsgi_van.errors import IncompleteEnvironment
from mod_wsgi_van.files.reading import MISSING, read, unreadable

# Bytes of a pyvenv.cfg: what makes one writes about 300.
_CONFIG_SIZE = 64 * 1024
# Names below lib that are looked at: conda puts some thousand libraries there.
_LIB_ENTRIES = 50_000
_VERSION_KEY = re.compile(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", re.MULTILINE)
_SYSTEM_KEY = re.compile(r"^include-system-site-packages\s*=\s*true", re.MULTILINE | re.IGNORECASE)
_LIB = re.compile(r"python(\d+)\.(\d+)t?$")


@dataclass(frozen=True, slots=True)
class Environment:
    """``python``: the version that it was made with, None where nothing tells."""

    python: tuple[int, int] | None
    includes_system: bool  # the system's site-packages are part of it


def examine(venv: str) -> Environment | None:
    """Return what stands at ``venv``, an absolute path; None where there is no environment.

    Raises errors.IncompleteEnvironment while one is being made, errors.Unreadable where this
    process may not look, errors.UnfitFile for a pyvenv.cfg that is not a small regular file.
    """
    if not _is_there(venv):
        return None
    config = read(os.path.join(venv, "pyvenv.cfg"), _CONFIG_SIZE)
    if config is None and os.path.isdir(os.path.join(venv, "conda-meta")):
        config = ""  # conda writes none
    if config is None:
        raise _incomplete(venv, "pyvenv.cfg")
    # The link itself: whoever makes an environment does not make what its interpreter links to.
    if not os.path.lexists(os.path.join(venv, "bin", "python")):
        raise _incomplete(venv, "bin/python")
    return Environment(_python(venv, config), _SYSTEM_KEY.search(config) is not None)


def _is_there(venv: str) -> bool:
    """Whether ``venv`` is a directory, or a symlink to one that is still to come."""
    try:
        return stat.S_ISDIR(os.stat(venv).st_mode)
    except OSError as error:
        if error.errno not in MISSING:
            raise unreadable(venv, error) from error
    return os.path.islink(venv)


def _incomplete(venv: str, missing: str) -> IncompleteEnvironment:
    return IncompleteEnvironment(
        f"the environment {venv} is not complete, it has no {missing} yet: the site is loaded"
        f" when that is there; for a site without an environment remove {venv}",
        files=tuple(os.path.join(venv, name) for name in ("pyvenv.cfg", "bin/python")),
    )


def _python(venv: str, config: str) -> tuple[int, int] | None:
    """What the configuration says; where it says nothing, the lib directory does."""
    found = _VERSION_KEY.search(config)
    if found is None:
        found = next(filter(None, map(_LIB.match, _names(os.path.join(venv, "lib")))), None)
    return (int(found[1]), int(found[2])) if found else None


def _names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, _LIB_ENTRIES))
    except OSError as error:
        if error.errno in MISSING:
            return []
        raise unreadable(directory, error) from error
