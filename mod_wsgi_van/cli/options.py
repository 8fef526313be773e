"""The Router's settings as options of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import click

from mod_wsgi_van.settings import Settings


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each setting but base_path, which is an argument of its own, and tables."""
    for each in reversed(dataclasses.fields(Settings)):
        if each.name != "base_path" and not isinstance(each.default, dict):
            command = _option(each)(command)
    return command


def _option(each: dataclasses.Field[Any]) -> Callable[[Any], Any]:
    several = isinstance(each.default, tuple)
    text = several or each.metadata["unit"] == "bytes"  # as 300M
    unit = each.metadata["unit"].upper()
    again = "; may be given again" if several else ""
    return click.option(
        "--" + each.name.replace("_", "-"),
        type=str if text else type(each.default),
        multiple=several,
        default=None,
        metavar=unit.rstrip("S") if several else unit,
        help=f"{each.metadata['help']}{again} (default: {_shown(each.default)})",
    )


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given."""
    names = [each.name for each in dataclasses.fields(Settings)]
    return {name: given[name] for name in names if given.get(name) not in (None, ())}


def _shown(default: Any) -> str:
    if not isinstance(default, tuple):
        return str(default)
    return (" ".join(default[:3]) or "none") + (" ..." if len(default) > 3 else "")
