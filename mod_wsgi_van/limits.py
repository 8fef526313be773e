"""What a site gets of what it asks for: the settings of the router with the site's own in them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from mod_wsgi_van.settings import Settings, site_rows


@dataclass(frozen=True, slots=True)
class Granted:
    """``capped`` says what a site asked for and did not get, a text for each."""

    settings: Settings
    capped: tuple[str, ...] = ()


def grant(settings: Settings, host: str, own: Mapping[str, Any]) -> Granted:
    """Decide for a site; ``own`` is what stands in its van.toml.

    Of values that have an order a site gets the one that it asks for, up to the one that its
    administrator has set: for this site, else as a limit, else for the router. Others are joined;
    those that cannot be are the administrator's for this site, else the site's, else the router's.
    """
    decided = settings.sites.get(host, {})
    if not (decided or own or settings.limits):
        return Granted(settings)
    given, capped = {}, []
    for key, row in site_rows().items():
        value = getattr(settings, row.name)
        join, rank = row.metadata.get("join"), row.metadata.get("rank")
        if rank:
            limit = decided.get(key, settings.limits.get(key, value))
            wanted = own.get(key, decided.get(key, value))
            if key in own and rank(wanted) > rank(limit):
                capped.append(f"{key} = {wanted!r} is more than {limit!r}, which is used")
            value = min(wanted, limit, key=rank)
        else:
            for values in (own, decided):
                if key in values:
                    value = join(value, values[key]) if join else values[key]
        given[row.name] = value
    made = copy(settings)
    vars(made).update(given)
    return Granted(made, tuple(capped))
