"""What a site says of itself: ``van.toml`` beside its wsgi directory, secrets in ``shared/.env``.

Called from loading threads and ``van-files``. Both files may be missing, and neither is trusted.
"""

from __future__ import annotations

import os
import time
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

_SIZE = (
    16 * 1024
)  # bytes of a van.toml; the slowest one is parsed in 25 ms, and no thread runs then
_SECRETS_SIZE = 64 * 1024
# Seconds. An edit of equal size in the same tick of the kernel's clock leaves the times as they
# are, and some file systems keep even seconds only.
_YOUNG = 2.0
_KNOWN = 10_000  # files that are remembered
_NOTHING = Values()


class OwnFiles:
    """The settings in the van.toml of each site; a file that has not changed is not read again."""

    def __init__(self) -> None:
        # File -> what told this state of it from all others, and what it said or what is wrong in
        # it. Written by any thread: what two of them find at once is equal.
        self._known: dict[str, tuple[tuple[int, ...], Values | str]] = {}

    def settings(self, path: Path) -> Values:
        """The checked settings of the site at ``path``.

        Raises errors.BadSettings for what may not stand there, errors.UnfitFile, errors.Unreadable.
        """
        file = os.path.join(path, NAME)
        now = time.time()
        identity = _identity(file)
        if identity is None:
            return _NOTHING
        known = self._known.get(file)
        if known is not None and known[0] == identity:
            said = known[1]
        else:
            said = _parsed(file)
            if identity and now - identity[-1] / 1e9 > _YOUNG:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[file] = identity, said
        if isinstance(said, str):
            raise BadSettings(f"{said}; mend the file", files=(file,))
        return said


def _parsed(file: str) -> Values | str:
    """What a van.toml says, or what is wrong in it."""
    try:
        return parse(read(file, _SIZE) or "", file, site_checks())
    except ConfigError as error:
        return str(error)


def _identity(file: str) -> tuple[int, ...] | None:
    """None where there is no such file; () where that cannot be told. The ctime is the last."""
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
        for line, name, value in dotenv.parse(read(file, _SECRETS_SIZE) or ""):
            try:
                found |= checks.env({name: value})
            except WrongKey as error:
                raise BadSettings(_said(file, line, error), files=(file,)) from None
    except DotenvError as error:
        raise BadSettings(_said(file, error.line, error), files=(file,)) from None
    return found


def _said(file: str, line: int, error: ValueError) -> str:
    return f"{file}:{line}: {error}; mend the file"
