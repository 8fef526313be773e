"""The virtual environment of a site, as its files describe it."""

from __future__ import annotations

import itertools
import os
import re
import stat
import sys
from dataclasses import dataclass

from mod_wsgi_van.errors import IncompleteEnvironment
from mod_wsgi_van.files.reading import missing_or_readable, read

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


def base_python() -> str:
    """The path of the interpreter that this process's own environment was made with.

    A site without an environment has it, and with it the standard library and nothing else.
    """
    return os.path.join(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))


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
    if not _has_interpreter(os.path.join(venv, "bin", "python")):
        raise _incomplete(venv, "bin/python")
    libraries = _libraries(os.path.join(venv, "lib"))
    found = _VERSION_KEY.search(config) or next(filter(None, map(_LIB.match, libraries)), None)
    python = (int(found[1]), int(found[2])) if found else None
    return Environment(python, _SYSTEM_KEY.search(config) is not None)


def _is_there(venv: str) -> bool:
    """Whether ``venv`` is a directory, or a symlink to one that is still to come."""
    with missing_or_readable(venv):
        return stat.S_ISDIR(os.stat(venv).st_mode)
    return os.path.islink(venv)


def _has_interpreter(python: str) -> bool:
    """Whether the link is there: who makes an environment does not make what it leads to."""
    with missing_or_readable(python):
        os.lstat(python)
        return True
    return False


def _incomplete(venv: str, missing: str) -> IncompleteEnvironment:
    return IncompleteEnvironment(
        f"the environment {venv} is not complete, it has no {missing} yet: the site is loaded"
        f" when that is there; for a site without an environment remove {venv}",
        files=tuple(os.path.join(venv, name) for name in ("pyvenv.cfg", "bin/python")),
    )


def _libraries(lib: str) -> list[str]:
    """The names of the directories of each Python below ``lib``: one, in most cases.

    It looks for site-packages in them too. Who uses glob(), as Router.get_venv_paths does, cannot
    tell what may not be read from what is missing.
    """
    names: list[str] = []
    with missing_or_readable(lib), os.scandir(lib) as entries:
        found = itertools.islice(entries, _LIB_ENTRIES)
        names = sorted(entry.name for entry in found if entry.name.startswith("python"))
    for name in names:
        packages = os.path.join(lib, name, "site-packages")
        with missing_or_readable(packages):
            os.stat(packages)
    return names
