"""The Router's settings as options of the command line."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from mod_wsgi_van.settings import Settings


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for each setting but base_path, which is an argument of its own."""
    group = parser.add_argument_group("settings of the router")
    for each in dataclasses.fields(Settings):
        if each.name == "base_path":
            continue
        several = isinstance(each.default, tuple)
        kind: dict[str, Any] = {"action": "append"} if several else {"type": type(each.default)}
        unit = each.metadata["unit"].upper()
        again = "; may be given again" if several else ""
        text = f"{each.metadata['help']}{again} (default: {_shown(each.default)})"
        group.add_argument(
            "--" + each.name.replace("_", "-"),
            metavar=unit.rstrip("S") if several else unit,
            default=argparse.SUPPRESS,
            help=text.replace("%", "%%"),
            **kind,
        )


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given."""
    given = vars(arguments)
    return {
        each.name: given[each.name] for each in dataclasses.fields(Settings) if each.name in given
    }


def _shown(default: Any) -> str:
    if not isinstance(default, tuple):
        return str(default)
    return (" ".join(default[:3]) or "none") + (" ..." if len(default) > 3 else "")
