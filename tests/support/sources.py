"""A Source as JSON, for a process of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mod_wsgi_van.isolation.contract import Source


def described(source: Source) -> dict[str, Any]:
    """What another process makes the same source of; what was counted stays here."""
    values = asdict(source)
    del values["tally"]
    return values
