"""Looks at files as another user would: the daemon's, who may not enter what root may."""

from __future__ import annotations

import errno
import json
import os
import pwd
from collections.abc import Callable, Sequence
from typing import Any

from mod_wsgi_van.files.chain import resolve

Question = tuple[str, int]
"""An absolute path, and how it must be open: a mask of os.R_OK, os.W_OK, os.X_OK, or os.F_OK."""


def look(user: str, questions: Sequence[Question]) -> list[str]:
    """What is wrong with each path for ``user``, "" where nothing is; the first obstacle is named.

    Only root can look as somebody else; without ``user`` the caller looks.
    """
    answers = as_user(user, lambda: [_obstacle(*question) for question in questions])
    return [answer.replace("USER", user or "this user") for answer in answers]


def as_user(user: str, answer: Callable[[], Any]) -> Any:
    """Call ``answer`` in a child process of ``user``; what it returns must be JSON's.

    Raises RuntimeError with what the call raised.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            try:
                become(user)
                said = ["", answer()]
            except Exception as error:
                said = [f"{type(error).__name__}: {error}"[:500], None]
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    if not data:
        raise RuntimeError(f"the process that looks as {user} ended without an answer")
    fault, result = json.loads(data)
    if fault:
        raise RuntimeError(fault)
    return result


def become(user: str) -> None:
    """Change this process into one of ``user``, for good; nothing where that cannot be."""
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)


def _obstacle(path: str, mode: int) -> str:
    chain = resolve(path)
    if chain.error:
        where, name = chain.hops[-1] if chain.hops else ("/", "")
        if chain.error == errno.EACCES:
            return f"{where} cannot be entered by USER"
        full = os.path.join(where, name)
        via = f", where {path} leads" if full != path else ""
        return f"{full}{via}: {os.strerror(chain.error).lower()}"
    for bit, verb in ((os.R_OK, "read"), (os.W_OK, "written"), (os.X_OK, "entered or run")):
        if mode & bit and not os.access(chain.end, bit):
            return f"{chain.end} cannot be {verb} by USER"
    return ""
