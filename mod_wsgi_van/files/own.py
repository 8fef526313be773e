"""What a site says of itself: ``van.toml`` beside its wsgi directory, secrets in ``shared/.env``.

Called from loading threads and ``van-files``. Both files may be missing, and neither is trusted.
"""

from __future__ import annotations

import os
from pathlib import Path

from mod_wsgi_van import checks
from mod_wsgi_van.checks import Values, WrongKey
from mod_wsgi_van.config import ConfigError, parse
from mod_wsgi_van.errors import BadSettings
from mod_wsgi_van.files import dotenv
from mod_wsgi_van.files.dotenv import DotenvError
from mod_wsgi_van.files.reading import is_missing, read
from mod_wsgi_van.settings import site_checks

NAME = "van.toml"
SECRETS = "shared/.env"

_SIZE = 64 * 1024  # bytes of either file
_KNOWN = 10_000  # files that are remembered
_NOTHING = Values()


class OwnFiles:
    """The settings in the van.toml of each site; a file that has not changed is not read again."""

    def __init__(self) -> None:
        # File -> what told this state of it from all others, and what it said. Written by any
        # thread: what two of them find at once is equal.
        self._known: dict[str, tuple[tuple[int, ...], Values]] = {}

    def settings(self, path: Path) -> Values:
        """The checked settings of the site at ``path``.

        Raises errors.BadSettings for what may not stand there, errors.UnfitFile, errors.Unreadable.
        """
        file = os.path.join(path, NAME)
        identity = _identity(file)
        if identity is None:
            return _NOTHING
        known = self._known.get(file)
        if known is not None and known[0] == identity:
            return known[1]
        try:
            said = parse(read(file, _SIZE) or "", file, site_checks())
        except ConfigError as error:
            raise BadSettings(f"{error}; mend the file", files=(file,)) from error
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[file] = identity, said
        return said


def _identity(file: str) -> tuple[int, ...] | None:
    """None where there is no such file; () where that cannot be told."""
    try:
        found = os.stat(file)
    except OSError as error:
        return None if is_missing(error) else ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def secrets(path: Path) -> dict[str, str]:
    """The variables in the ``shared/.env`` of the site at ``path``; raises as OwnFiles.settings."""
    file = os.path.join(path, SECRETS)
    found: dict[str, str] = {}
    try:
        for line, name, value in dotenv.parse(read(file, _SIZE) or ""):
            try:
                found |= checks.env({name: value})
            except WrongKey as error:
                raise BadSettings(_said(file, line, error), files=(file,)) from None
    except DotenvError as error:
        raise BadSettings(_said(file, error.line, error), files=(file,)) from None
    return found


def _said(file: str, line: int, error: ValueError) -> str:
    return f"{file}:{line}: {error}; mend the file"
