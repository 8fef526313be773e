"""The programs of this machine that the servers need."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def httpd() -> str | None:
    """The httpd program, or None."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return shutil.which("apache2", path=search) or shutil.which("httpd", path=search)


def system_python() -> str:
    """The Python that Debian's mod_wsgi is built for; elsewhere the one that runs the tests."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
