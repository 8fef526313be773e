import dataclasses
from typing import Any

import click
import pytest

from mod_wsgi_van.cli import options
from mod_wsgi_van.settings import Settings


@click.command()
@options.with_settings
def command(**given: Any) -> dict[str, Any]:
    return options.settings(given)


def parse(*arguments: str) -> Any:
    return command.main(arguments, standalone_mode=False)


def test_what_is_not_given_is_left_to_the_router() -> None:
    assert parse() == {}


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--module-name", "x"], {"module_name": "x"}),
        (["--process-threads", "5"], {"process_threads": 5}),
        (["--settle", "2"], {"settle": 2.0}),
        (["--memory-limit", "300M"], {"memory_limit": "300M"}),
        (["--watch-paths", "a b", "--watch-paths", "c"], {"watch_paths": ("a b", "c")}),
        (["--process-environ", "A=1=2"], {"process_environ": ("A=1=2",)}),
    ],
)
def test_an_option_becomes_a_setting_of_its_type(
    arguments: list[str], settings: dict[str, Any]
) -> None:
    assert parse(*arguments) == settings


@pytest.mark.parametrize("arguments", [["--process-threads", "x"], ["--settle", "x"]])
def test_a_value_of_another_type_is_refused(arguments: list[str]) -> None:
    with pytest.raises(click.BadParameter):
        parse(*arguments)


def test_every_setting_is_an_option_with_its_help_and_default() -> None:
    text = " ".join(command.get_help(click.Context(command)).split())
    for each in dataclasses.fields(Settings):
        option = "--" + each.name.replace("_", "-")
        given_so = each.name != "base_path" and each.metadata["unit"] != "table"
        assert (f"{option} " in text) == given_so, each.name
    assert "--settle SECONDS quiet time before" in text
    assert "0.05 % of a core; 0: never (default: 60.0)" in text
    assert "--watch-paths PATH further" in text
    assert "may be given again (default: __pycache__ *.pyc *.pyo ...)" in text
    assert "may be given again (default: none)" in text
