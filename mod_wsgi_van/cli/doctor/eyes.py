"""Looks at files as another user would: the daemon's, who may not enter what root may."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from mod_wsgi_van.deploy.user import as_user
from mod_wsgi_van.files.chain import resolve

Question = tuple[str, int]
"""An absolute path, and how it must be open: a mask of os.R_OK, os.W_OK, os.X_OK, or os.F_OK."""


def look(user: str, questions: Sequence[Question]) -> list[str]:
    """What is wrong with each path for ``user``, "" where nothing is; the first obstacle is named.

    Only root can look as somebody else; without ``user`` the caller looks.
    """
    answers = as_user(user, lambda: [_obstacle(*question) for question in questions])
    return [answer.replace("USER", user or "this user") for answer in answers]


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
