"""Loads a release in a process of its own, as the router would, and asks it for a page.

This module is both sides: ``prove`` starts the process, which runs ``main``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mod_wsgi_van import Router
from mod_wsgi_van.deploy import programs
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.files.own import OwnFiles
from mod_wsgi_van.limits import grant
from mod_wsgi_van.settings import Settings

_LOADS_WITHIN = 60.0  # seconds, beyond load_timeout
# What the router's line says of clients and of the next attempt; here there are none.
_OUTCOME = re.compile(r"; requests get \d+ until something changes in [^\n]*")
# What the process has to have, and nothing of the caller's: the daemon has none of that either.
_ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def prove(settings: Settings, site: str, release: Path, check: str | None) -> str:
    """Load it; raises DeployFailed with the lines of the log. Returns what was done.

    ``check``: the path to ask for, in place of the settings'.
    """
    granted = grant(settings, site, OwnFiles().settings(release)).settings
    if granted.reload == "restart":
        return "not loaded, for it can be only once (reload)"
    own = {"check": check} if check is not None else {}
    given = asdict(settings) | {
        "sites": {**settings.sites, site: {**settings.sites.get(site, {}), **own}},
        "watch": "polling",  # nothing of it is watched
        "processes_per_vhost": 1,
    }
    if settings.site_user == "owner":  # whom this process is
        given |= {
            "site_user": "daemon",
            "isolation": "process",
            "process_environ": ("PATH", "LANG"),
        }
    with tempfile.TemporaryFile() as stdin:  # never an argument: secrets are in it
        stdin.write(json.dumps([given, site, str(release)], default=_plain).encode())
        stdin.seek(0)
        command = [sys.executable, "-I", "-m", __name__]
        limit = settings.load_timeout + _LOADS_WITHIN
        try:
            programs.run(command, Path("/"), _ENVIRON, limit, stdin)
        except DeployFailed as error:
            how, _, lines = str(error).partition("\n")
            lines = _OUTCOME.sub("", lines).removeprefix("mod_wsgi_van ERROR: ")
            raise DeployFailed(f"{release} cannot go live\n{lines or how}") from None
    path = check if check is not None else granted.check
    return f"loaded, GET {path} answered" if path else "loaded, no check is set"


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(value)


def main() -> int:
    given, site, release = json.load(sys.stdin)
    logging.getLogger("mod_wsgi_van").setLevel(logging.WARNING)

    class Candidate(Router):
        def get_server_path(self, host_name: str, port: int = 80) -> Path:
            return Path(release)

    router = Candidate(**given)
    loaded = router.load(site)
    router.shutdown()
    sys.stdout.flush()
    os._exit(not loaded)  # whatever threads the application has left


if __name__ == "__main__":
    sys.exit(main())
