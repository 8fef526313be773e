"""Does as another user what touches files of that user: root follows no link of a site's owner."""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.files.target import SITES
from mod_wsgi_van.settings import Settings

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_TEXT = 100_000  # characters of what a child says was wrong


@dataclass(frozen=True, slots=True)
class Users:
    """Names, each "" for whoever runs the command: whose files a site's are, who runs its code."""

    files: str = ""
    code: str = ""


def users(home: Home, settings: Settings) -> Users:
    """Find them; only root can be anybody else. Raises DeployFailed where nobody is named."""
    if os.geteuid():
        return Users()
    code = settings.daemon_user if settings.site_user == "daemon" else ""
    owner = _owner(home.path) or code or _owner(home.link)
    if not owner:
        raise DeployFailed(
            f"nobody owns {home.site} yet, and site_user is owner: say who, with mkdir -p"
            f" {home.base / SITES} && install -d -o OWNER {home.path}"
        )
    return Users(owner, code or owner)


def _owner(path: Path) -> str:
    """Who owns what stands there, "" for root and where there is nothing."""
    try:
        uid = path.lstat().st_uid
        return pwd.getpwuid(uid).pw_name if uid else ""
    except (FileNotFoundError, KeyError):
        return ""


def become(user: str) -> None:
    """Change this process into one of ``user``, for good; nothing where that cannot be."""
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)


def end_with_parent() -> None:
    """In a child, after it became another user: the kernel kills it when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def as_user(user: str, answer: Callable[[], Any]) -> Any:
    """Call ``answer`` in a child process of ``user``; what it returns must be JSON's.

    Raises DeployFailed as the call does, and RuntimeError with what else the call raised.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            try:
                become(user)
                end_with_parent()
                said = ["", "", answer()]
            except Exception as error:
                said = [type(error).__name__, str(error)[:_TEXT], None]
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    if not data:
        raise RuntimeError(f"the process of {user or 'this user'} ended without an answer")
    kind, text, result = json.loads(data)
    if kind == DeployFailed.__name__:
        raise DeployFailed(text)
    if kind:
        raise RuntimeError(f"{kind}: {text}"[:500])
    return result
