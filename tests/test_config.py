"""van.toml of an administrator: what it sets, and what a wrong one says."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router, config, manual, settings
from mod_wsgi_van.config import ConfigError
from mod_wsgi_van.settings import Settings

EVERYTHING = """
base_path = "/srv/sites"   # a comment
process_threads = 16
watch_paths = [
    "restart.txt",
]

[env]
TZ = "Europe/Berlin"

[limits]
threads = 32
isolation = "imports"

[sites."Shop.domain.org"]
aliases = ["www.shop.domain.org", "*.shop.domain.org"]
memory_limit = "300M"
env.DEBUG = "1"
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "van.toml"
    path.write_text(text)
    return path


def test_a_router_of_a_file_has_what_the_file_says(tmp_path: Path) -> None:
    router = Router.from_config(written(tmp_path, EVERYTHING))
    assert (router.base_path, router.process_threads) == ("/srv/sites", 16)
    assert router.watch_paths == ("restart.txt",)
    assert router.env == {"TZ": "Europe/Berlin"}
    assert router.limits == {"threads": 32, "isolation": "imports"}
    site = router.sites["shop.domain.org"]
    assert site["aliases"] == ("www.shop.domain.org", "*.shop.domain.org")
    assert (site["memory_limit"], site["env"]) == (300 << 20, {"DEBUG": "1"})
    assert router.settle == 0.1


def test_a_file_goes_before_the_attributes_of_a_subclass(tmp_path: Path) -> None:
    class Ours(Router):
        base_path = "/srv"
        settle = 0.5

    router = Ours.from_config(written(tmp_path, "settle = 2"))
    assert isinstance(router, Ours)
    assert (router.base_path, router.settle) == ("/srv", 2)


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.ENVIRONMENT, str(written(tmp_path, "settle = 2")))
    assert Router.from_config().settle == 2
    other = tmp_path / "other.toml"
    other.write_text("settle = 3")
    assert Router.from_config(str(other)).settle == 3
    monkeypatch.setenv(config.ENVIRONMENT, str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml: No such file.*MOD_WSGI_VAN_CONFIG"):
        Router.from_config()


WRONG = [
    (
        "settle = 1\n\nproces_threads = 4",
        3,
        "proces_threads: no such key; did you mean process_thr",
    ),
    ("settle = -1", 1, "settle: a number of seconds is wanted, 0 or more"),
    ('watch = "x"', 1, "watch: allowed are 'auto', 'inotify', 'polling'"),
    ("watch_paths = [\n  'a',\n  3,\n]\nsettle = 1", 1, "watch_paths: 3 is not a name"),
    ("watch_paths = {a = 1}", 1, "watch_paths: a sequence of strings is wanted"),
    ("[limits]\n# threads = 3\nthreads = 0", 3, "limits.threads: a whole number is wanted"),
    (
        "settle = 1\n[limits]\nentry = 'a:b'",
        3,
        "limits.entry: no such key; allowed are isolation, threads,",
    ),
    ("limits = 3", 1, "limits: a table is wanted"),
    ("limits = { threads = 'x' }", 1, "limits.threads: a whole number"),
    ("[sites.'a.test']\n[sites.'b.test']\nuser = 'x'", 3, "sites.b.test.user: no such key"),
    ("[sites.'a.test'.env]\nPYTHONPATH = '/x'", 2, "sites.a.test.env.PYTHONPATH: these are not"),
    ("[sites]\n'a.test'.env.LD_PRELOAD = '/x'", 2, "sites.a.test.env.LD_PRELOAD: these are not"),
    ("[sites.'a test']", 1, "sites.'a test': 'a test' is not the name of a host"),
    ("[sites.a]\n[sites.A]", 2, "sites.A: a is the name of two sites"),
    ("[sites.a]\naliases = ['b']\n[sites.b]", 3, "sites.b: b is the name of two sites"),
    ("[sites.a]\naliases = ['*.']", 2, "sites.a.aliases: '*.' is not the name of a host"),
    ('[env]\nX = """\n[limits]\nY = 1\n"""\nY = 1', 6, "env.Y: a string is wanted"),
    ("[env]\nX = '''\nY = 1'''\n'Y' = 1", 4, "env.Y: a string is wanted"),
    ('[env]\n"a\\nb=" = "x"', 1, "env.'a\\nb=': the name of an environment variable"),
    ("settle = 1\nsettle = 2", 2, "Cannot overwrite a value"),
    ("settle = 1\nbase_path = ", 2, "Invalid value"),
    ("entry = 'app'", 1, "entry: 'module:object' or 'module:factory()' is wanted"),
    ("x = " + "[" * 5000, 1, "recursion"),
    ("settle = 1\n" + "a." * 16 + "a = 1", 2, "a key has at most 16 parts"),
    ("x = '''a''''\n" + "'a' . " * 16 + "a = 1", 2, "a key has at most 16 parts"),
    ("entry2 = 1\nwatch_paths = [ '''x'''', ']', \n 'b']", 1, "entry2: no such key"),
    ("x = " + "[" * 200 + "]" * 200, 1, "x: no such key"),
]


SLOW = {
    "dots": "a." * 8190 + "a=1",
    "quoted dots": "'a'." * 4000 + "a=1",
    "header": "[" + "a." * 8000 + "a]",
    "one word": "a" * 16_000 + "=1",
    "spaces": " " * 16_000 + "x",
    "quotes": "x=" + r'"\"' * 4000,
    "brackets": "x=1\n" + "[" * 16_000,
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_a_text_that_is_made_to_be_slow(text: str) -> None:
    before = time.thread_time()
    with pytest.raises(ConfigError):
        config.parse(text, "van.toml", settings.site_checks())
    assert time.thread_time() - before < 0.5


@pytest.mark.parametrize("text", ['x = "1.' + "2." * 40 + '"', "x = 1 # " + "a." * 40])
def test_dots_in_a_string_are_no_key(text: str) -> None:
    assert config.parse(text, "van.toml", {"x": lambda value: value})


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_what_is_wrong_is_said_with_file_and_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        Router.from_config(path)
    shown = str(raised.value)
    assert shown.startswith(f"{path}:{line}: {said}") or (said == "recursion" and said in shown)
    assert "\n" not in shown


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "van.toml").write_bytes(b"settle = \xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        Router.from_config(tmp_path / "van.toml")


def test_secrets_stay_out_of_what_is_said() -> None:
    with pytest.raises(ValueError) as raised:
        Router(env={"PASSWORD": "hunter2", "PYTHONPATH": "/x"})
    assert str(raised.value).startswith("env: PYTHONPATH: these are not")
    assert "hunter2" not in str(raised.value)


def examples(of: str) -> list[str]:
    """What the manual shows of a file."""
    texts = "".join(manual.pages().values())
    return re.findall(rf"```toml\n(# {of}\n.*?)```", texts, re.DOTALL)


@pytest.mark.parametrize("text", examples(config.PATH))
def test_what_the_manual_shows_is_right(tmp_path: Path, text: str) -> None:
    assert Router.from_config(written(tmp_path, text)).base_path == "/var/www"


@pytest.mark.parametrize("text", examples("/var/www/[^\n]*/van.toml"))
def test_what_the_manual_shows_of_a_site_is_right(text: str) -> None:
    assert config.parse(text, "van.toml", settings.site_checks())


@pytest.mark.parametrize("name", ["limits", "sites"])
def test_tables_are_given_to_a_constructor_too(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: .*no such key"):
        Router(**{name: {"a.test": {"x": 1}}})  # type: ignore[arg-type]


def test_a_row_in_the_table_is_all_that_a_new_key_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(eq=False)
    class Later(Settings):
        max_concurrency: int = settings._amount(
            0, "count", "at once", "any", site="max_concurrency"
        )
        check: str = settings._row("", "path", str, "asked", site="check")

    monkeypatch.setattr(settings, "fields", lambda of: fields(Later))
    text = """
        max_concurrency = 3
        [limits]
        max_concurrency = 5
        [sites.a]
        max_concurrency = 4
        check = "/health"
    """
    parsed: Any = config.parse(text, "van.toml", settings.router_checks())
    assert (parsed["max_concurrency"], parsed["limits"]) == (3, {"max_concurrency": 5})
    assert parsed["sites"] == {"a": {"max_concurrency": 4, "check": "/health"}}
    assert settings.site_checks().keys() >= {"max_concurrency", "check"}
