"""What a site gets of what it asks for."""

from __future__ import annotations

from typing import Any

import pytest

from mod_wsgi_van import config, settings
from mod_wsgi_van.limits import grant
from mod_wsgi_van.settings import Settings
from tests.test_config import examples

HOST = "shop.domain.org"


def granted(own: dict[str, Any], host: str = HOST, **given: Any) -> dict[str, Any]:
    """What a site has by the keys of its file, and what it was refused."""
    made = grant(Settings(**given), host, own)
    found = {key: getattr(made.settings, row.name) for key, row in settings.site_rows().items()}
    return found | {"refused": [text.split()[0] for text in made.capped]}


ROWS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {"threads": 8, "isolation": "auto", "entry": "", "refused": []}),
    ({"threads": 4}, {}, {"threads": 4}),
    ({"threads": 9}, {}, {"threads": 8, "refused": ["threads"]}),
    ({"threads": 9}, {"limits": {"threads": 16}}, {"threads": 9, "refused": []}),
    ({"threads": 99}, {"limits": {"threads": 16}}, {"threads": 16, "refused": ["threads"]}),
    ({}, {"limits": {"threads": 16}}, {"threads": 8}),
    ({}, {"limits": {"threads": 4}}, {"threads": 4, "refused": []}),
    ({}, {"sites": {HOST: {"threads": 16}}}, {"threads": 16}),
    ({}, {"sites": {"other.org": {"threads": 16}}}, {"threads": 8}),
    ({"threads": 12}, {"sites": {HOST: {"threads": 16}}}, {"threads": 12}),
    ({"threads": 8}, {"sites": {HOST: {"threads": 4}}}, {"threads": 4, "refused": ["threads"]}),
    ({"memory_limit": 5}, {}, {"memory_limit": 5}),
    ({"memory_limit": 0}, {"memory_limit": 5}, {"memory_limit": 5, "refused": ["memory_limit"]}),
    ({"memory_limit": 9}, {"memory_limit": 5, "limits": {"memory_limit": 0}}, {"memory_limit": 9}),
    ({"isolation": "process"}, {}, {"isolation": "process"}),
    ({"isolation": "imports"}, {}, {"isolation": "auto", "refused": ["isolation"]}),
    ({"isolation": "auto"}, {"isolation": "imports"}, {"isolation": "auto", "refused": []}),
    ({"isolation": "imports"}, {"limits": {"isolation": "imports"}}, {"isolation": "imports"}),
    ({}, {"limits": {"isolation": "process"}}, {"isolation": "process", "refused": []}),
    ({"entry": "a:b"}, {"entry": "c:d"}, {"entry": "a:b"}),
    ({"entry": "a:b"}, {"sites": {HOST: {"entry": "c:d"}}}, {"entry": "c:d", "refused": []}),
    ({"watch_paths": ("b",)}, {"watch_paths": ["a"]}, {"watch_paths": ("a", "b")}),
    (
        {"env": {"A": "2", "B": "2"}},
        {"env": {"A": "1", "C": "1"}, "sites": {HOST: {"env": {"B": "3"}}}},
        {"env": {"A": "2", "B": "3", "C": "1"}},
    ),
]


@pytest.mark.parametrize(("own", "given", "expected"), ROWS)
def test_what_a_site_gets(
    own: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = granted(own, **given)
    assert {key: found[key] for key in expected} == expected


def test_the_example_of_the_manual() -> None:
    (text,) = (text for text in examples(config.PATH) if "[limits]" in text)
    given = config.parse(text, config.PATH, settings.router_checks())
    silent = granted({}, "blog.domain.org", **given)
    assert (silent["threads"], silent["memory_limit"]) == (8, 500 << 20)
    assert granted({"threads": 64}, **given)["threads"] == 32
    shop = granted({"isolation": "auto"}, **given)
    assert (shop["memory_limit"], shop["isolation"]) == (2 << 30, "process")


def test_what_no_site_changes_is_the_routers_own() -> None:
    router = Settings()
    assert grant(router, HOST, {}).settings is router
    changed = grant(router, HOST, {"threads": 1}).settings
    assert (changed.process_threads, router.process_threads) == (1, 8)


@pytest.mark.parametrize(("key", "most"), [("watch_paths", 32), ("watch_ignore", 100)])
def test_what_is_looked_at_for_a_site_has_a_bound(key: str, most: int) -> None:
    check = settings.site_checks()[key]
    assert check(["a"] * most) == ("a",) * most
    with pytest.raises(ValueError, match=f"at most {most} are allowed"):
        check(["a"] * (most + 1))
