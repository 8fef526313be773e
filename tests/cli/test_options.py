import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.cli import options


@dataclass
class Sample:
    """One field of every type that a setting may have."""

    base_path: str = "/var/www"
    name: str = field(default="a%b", metadata={"help": "100% of it"})
    threads: int = 3
    interval: float = 1.5
    strict: bool = True
    limit: int | None = None
    paths: Sequence[str] = ()
    globs: tuple[str, ...] = ("a", "b", "c", "d")
    variables: Mapping[str, str] = field(default_factory=dict)
    internal: int = field(default=0, init=False)


def parse(arguments: list[str], router: type[Any] = Sample) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    options.add_settings(parser, router)
    return options.settings(parser.parse_args(arguments), router)


def test_what_is_not_given_is_left_to_the_router() -> None:
    assert parse([]) == {}


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--name", "x"], {"name": "x"}),
        (["--threads", "5"], {"threads": 5}),
        (["--interval", "2"], {"interval": 2.0}),
        (["--no-strict"], {"strict": False}),
        (["--strict"], {"strict": True}),
        (["--limit", "7"], {"limit": 7}),
        (["--paths", "a b", "--paths", "c"], {"paths": ["a b", "c"]}),
        (["--globs", "*.x"], {"globs": ["*.x"]}),
        (["--variables", "A=1=2", "--variables", "B="], {"variables": {"A": "1=2", "B": ""}}),
    ],
)
def test_an_option_becomes_a_setting_of_its_type(
    arguments: list[str], settings: dict[str, Any]
) -> None:
    assert parse(arguments) == settings


@pytest.mark.parametrize(
    "arguments",
    [["--threads", "x"], ["--interval", "x"], ["--variables", "A"], ["--variables", "=1"]],
)
def test_a_value_of_another_type_is_refused(arguments: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parse(arguments)


def test_the_help_shows_what_the_field_says_and_its_default() -> None:
    parser = argparse.ArgumentParser()
    options.add_settings(parser, Sample)
    text = " ".join(parser.format_help().split())
    assert "100% of it (default: a%b)" in text
    assert "may be given again (default: a b c ...)" in text
    assert "base" not in text and "internal" not in text


def test_every_setting_of_the_router_is_an_option_with_a_help_text() -> None:
    parser = argparse.ArgumentParser()
    options.add_settings(parser)
    offered = {action.dest: action.help for action in parser._actions}
    wanted = {each.name for each in dataclasses.fields(Router) if each.init} - {"base_path"}
    assert wanted == set(offered) - {"help"}
    for name in wanted:
        assert str(offered[name]).strip(), name
        assert not str(offered[name]).startswith("("), f"no metadata help: {name}"


def test_a_setting_of_an_unknown_type_is_a_mistake_of_ours() -> None:
    @dataclass
    class Odd:
        thing: type[int] = int

    with pytest.raises(TypeError):
        parse([], Odd)
