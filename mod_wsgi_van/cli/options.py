"""The Router's settings as options of the command line."""

from __future__ import annotations

import argparse
import collections.abc
import dataclasses
import types
import typing
from typing import Any

from mod_wsgi_van import Router

_PLAIN = (str, int, float)


def add_settings(parser: argparse.ArgumentParser, router: type[Any] = Router) -> None:
    """One option for each field of ``router``; base_path is an argument of its own."""
    hints = typing.get_type_hints(router)
    group = parser.add_argument_group("settings of the router")
    for each in dataclasses.fields(router):
        if each.init and each.name != "base_path":
            group.add_argument(
                "--" + each.name.replace("_", "-"),
                default=argparse.SUPPRESS,
                help=_help(each),
                **_kind(hints[each.name]),
            )


def settings(arguments: argparse.Namespace, router: type[Any] = Router) -> dict[str, Any]:
    """The settings that were given."""
    given = vars(arguments)
    names = (each.name for each in dataclasses.fields(router))
    return {name: given[name] for name in names if name in given}


def _kind(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of the annotation."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if hint in _PLAIN:
        return {"type": hint, "metavar": hint.__name__.upper()}
    origin = typing.get_origin(hint) or hint
    if issubclass(origin, collections.abc.Mapping):
        return {"action": _Pair, "metavar": "NAME=VALUE"}
    if issubclass(origin, collections.abc.Iterable):
        return {"action": "append", "metavar": "NAME"}
    raise TypeError(f"no option for a setting of type {hint}")


class _Pair(argparse.Action):
    """Collects NAME=VALUE in a dictionary."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, equals, value = values.partition("=")
        if not name or not equals:
            raise argparse.ArgumentError(self, f"NAME=VALUE is wanted, not {values!r}")
        setattr(namespace, self.dest, getattr(namespace, self.dest, {}) | {name: value})


def _help(field: dataclasses.Field[Any]) -> str:
    text = str(field.metadata.get("help", ""))
    if isinstance(field.default, tuple | list):
        text += "; may be given again"
        shown = " ".join(map(str, field.default[:3])) + (" ..." if len(field.default) > 3 else "")
    else:
        shown = "" if field.default in (None, dataclasses.MISSING) else str(field.default)
    return (text + (f" (default: {shown})" if shown else "")).replace("%", "%%")
