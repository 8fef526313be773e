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
    """A finding that is well where ``says`` is empty."""
    if not says:
        return Finding(check, name=name, site=site)
    return Finding(check, state, says, remedy, site, name)
