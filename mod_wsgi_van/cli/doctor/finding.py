"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` completes "Checking whether ..."; ``remedy`` is what to do, "" when all is well."""

    check: str
    state: State = "ok"
    says: str = ""
    remedy: str = ""
    site: str = ""  # "" for what concerns all
    name: str = ""  # of the check, for programs


def judged(
    name: str, check: str, says: str, remedy: str, *, state: State = "problem", site: str = ""
) -> Finding:
    """A finding that is well where ``says`` is empty.

    Parts of it are texts of sites: nothing of them may move a terminal's cursor or begin a line.
    """
    if not says:
        return Finding(_printable(check), name=name, site=site)
    return Finding(_printable(check), state, _printable(says), _printable(remedy), site, name)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
