"""Runs the programs of a deploy: nothing of them outlives it, and their last lines are told."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.user import end_with_parent
from mod_wsgi_van.isolation.variables import passed_on
from mod_wsgi_van.lines import escape

# Of root's variables others get what says where packages come from.
_KEPT = ("PATH", "LANG", "*_proxy", "*_PROXY", "PIP_*", "UV_*", "SSL_CERT_*", "TMPDIR")
_NICE = 10
_LINES = 40  # of what a failed program has written


def environ(home: Path, **further: str) -> dict[str, str]:
    """The variables of a program; in another user's place than the caller's, ``home`` is HOME."""
    globs = ("*",) if os.access(os.environ.get("HOME", ""), os.W_OK) else _KEPT
    found = passed_on(globs, os.environ)
    if globs == _KEPT:
        found |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    return found | further


def _begin() -> None:
    """In the child: requests of the sites go before it."""
    end_with_parent()
    os.nice(_NICE)


def run(
    command: Sequence[str],
    where: Path,
    variables: Mapping[str, str],
    seconds: float,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
) -> str:
    """Run it in ``where`` and return what it wrote; raises DeployFailed with its last lines."""
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=where,
            env=variables,
            start_new_session=True,
            preexec_fn=_begin,
        )
    except OSError as error:
        raise DeployFailed(f"{command[0]} cannot be run by this user: {error.strerror}") from error
    try:
        out = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        raise DeployFailed(f"{name} has not ended within {seconds:.0f} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        process.wait()
        if process.stdout:
            process.stdout.close()
    text = out.decode(errors="replace").strip()
    if process.returncode:
        last = "\n".join(escape(line) for line in text.splitlines()[-_LINES:])
        raise DeployFailed(f"{name} failed with status {process.returncode}\n{last}")
    return text
