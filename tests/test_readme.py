"""The README names every setting and hook that there is, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from mod_wsgi_van import Router

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return re.split(r"^##+ ", README.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| `?([A-Za-z]\w+)", table, flags=re.M)


def test_every_setting_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (?:`(.+?)`|see below) \|", section("Settings"), flags=re.M)
    )
    assert set(rows) == {each.name for each in fields(Router)}
    for each in fields(Router):
        if each.name != "watch_ignore":
            default = repr(each.default).replace("'", '"')
            assert rows[each.name] == default, each.name


def test_every_hook() -> None:
    hooks = {name for name in vars(Router) if name.startswith("get_")} | {
        "not_found",
        "unavailable",
    }
    assert {name for name in first_cells(section("Hooks")) if name != "hook"} == hooks
