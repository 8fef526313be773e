"""Settings: how they are given, and what a wrong one says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.checks import LONGEST
from mod_wsgi_van.settings import Settings

TIMES = [each.name for each in fields(Settings) if each.metadata["unit"] == "seconds"]
AMOUNTS = ["process_threads", "processes_per_vhost", "max_requests"]
NEVER_0 = ["update_interval", "load_timeout", "shutdown_timeout", *AMOUNTS[:2]]

WRONG: list[tuple[str, Any, str]] = [
    ("watch", "inotfy", "'auto', 'inotify', 'polling'"),
    ("watch", ["auto"], "'auto', 'inotify', 'polling'"),
    ("isolation", "thread", "'auto', 'imports', 'process'"),
    *((name, -1, "or more" if name not in NEVER_0 else "more than 0") for name in TIMES + AMOUNTS),
    *((name, 0, "more than 0") for name in NEVER_0),
    *((name, "5", "a number of seconds") for name in TIMES),
    *((name, True, "a number of seconds") for name in TIMES),
    *((name, 1.5, "a whole number") for name in AMOUNTS),
    *((name, True, "a whole number") for name in AMOUNTS),
    *((name, 2**63, "at most 9223372036854775807") for name in AMOUNTS),
    *(("memory_limit", wrong, '"300M"') for wrong in (-1, 1.5, True, 2**63, "8E", "1.5G", "")),
    ("memory_limit", "9223372036854775807K", "at most 9223372036854775807"),
    ("update_interval", float("inf"), "more than 0"),
    ("grace_period", float("nan"), "0 or more"),
    ("load_timeout", None, "a number of seconds"),
    ("watch_paths", "settings.toml", "sequence of strings"),
    ("watch_paths", ["/etc/passwd"], "relative"),
    ("watch_paths", ["a\0b"], "not a name"),
    ("watch_ignore", "*.pyc", "sequence of strings"),
    ("watch_ignore", [3], "3 is not a name"),
    ("wsgi_dir", "/srv/wsgi", "relative to the site"),
    ("wsgi_dir", "../wsgi", "must not leave"),
    ("venv_name", "", "relative to the site"),
    ("module_name", "my-app", "Python module"),
    ("module_name", "a..b", "Python module"),
    ("object_name", "app.app", "Python object"),
    ("base_path", "", "directory is wanted"),
    ("base_path", b"/srv", "directory is wanted"),
    ("vhost_pattern", "%x", "allowed are text"),
    ("vhost_pattern", 3, "string"),
    ("process_environ", "PATH", "sequence of strings"),
    ("process_environ", 3, "sequence of strings"),
    ("process_environ", [""], "not a name"),
    ("process_environ", ["=x"], "NAME=value"),
]


@pytest.mark.parametrize(("name", "value", "text"), WRONG)
def test_a_wrong_value_says_what_is_allowed(name: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError) as raised:
        Router(**{name: value})
    assert text in str(raised.value)
    assert str(raised.value).startswith(f"{name}={value!r}: ")


def test_the_settings_of_1_0_0_have_their_defaults() -> None:
    router = Router()
    assert (router.base_path, router.venv_name, router.wsgi_dir) == ("/var/www", ".venv", "wsgi")
    assert (router.module_name, router.object_name) == ("app", "app")
    assert router.update_interval == 1.0


def test_class_attributes_are_defaults_of_the_constructor() -> None:
    class Ours(Router):
        base_path = "/srv"
        settle = 0.5

    class Theirs(Ours):
        settle = 0.7

    assert (Ours().base_path, Ours().settle) == ("/srv", 0.5)
    assert Ours(settle=0.2).settle == 0.2
    assert (Theirs().base_path, Theirs().settle) == ("/srv", 0.7)
    assert Router().settle == 0.1


def test_a_subclass_with_a_constructor_of_its_own() -> None:
    class Ours(Router):
        settle = 0.5

        def __init__(self, customer: str) -> None:
            super().__init__(base_path=f"/srv/{customer}")

    assert (Ours("x").base_path, Ours("x").settle) == ("/srv/x", 0.5)


def test_a_subclass_that_is_a_dataclass() -> None:
    @dataclass(eq=False)
    class Ours(Router):
        settle: float = 0.5
        customer: str = ""

    router = Ours("/srv", customer="x")
    assert (router.base_path, router.settle, router.customer) == ("/srv", 0.5, "x")
    with pytest.raises(ValueError, match="settle"):
        Ours(settle=-1)


def kept(name: str, value: Any) -> Any:
    return getattr(Router(**{name: value}), name)


@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_no_longer_than_the_kernel_can_wait(name: str) -> None:
    assert kept(name, 10**30) == LONGEST
    assert kept(name, 0.25) == 0.25


@pytest.mark.parametrize("name", ["watch_paths", "watch_ignore", "process_environ"])
def test_names_may_come_from_anything_that_can_be_iterated(name: str) -> None:
    assert kept(name, (text for text in "ab")) == ("a", "b")


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [(300, 300), ("300", 300), ("3K", 3072), ("300M", 300 << 20), ("2G", 2**31)],
)
def test_an_amount_of_memory(given: Any, bytes_: int) -> None:
    assert kept("memory_limit", given) == bytes_


def test_secrets_stay_out_of_the_repr() -> None:
    assert "hunter2" not in repr(Router(process_environ=["PASSWORD=hunter2"]))


def test_base_path_may_be_a_path() -> None:
    assert Router(base_path=Path("/srv")).base_path == "/srv"  # type: ignore[arg-type]


def test_hooks_take_what_they_took_in_1_0_0(tmp_path: Path) -> None:
    router = Router(base_path=str(tmp_path))
    path = router.get_server_path("a.test")
    assert path == tmp_path / "a.test"
    packages = path / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    assert list(router.get_venv_paths(path)) == [packages]
    with pytest.raises(FileNotFoundError):
        router.get_version(path)
    (path / "wsgi").mkdir()
    assert router.get_version(path) == router.get_version(path)


def test_settings_given_by_position_and_those_that_do_not_exist() -> None:
    assert Router("/srv", ".env").venv_name == ".env"
    # mypy, which checks this file, sees these two as well: the comments say so.
    with pytest.raises(TypeError, match="setle"):
        Router(setle=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="base_path"):
        Router("/srv", base_path="/www")  # type: ignore[misc]


def test_the_interpreter_of_a_worker(tmp_path: Path) -> None:
    router = Router(base_path=str(tmp_path))
    assert router.get_python(tmp_path).resolve().name.startswith("python3")
    (tmp_path / ".venv").mkdir()
    assert router.get_python(tmp_path) == tmp_path / ".venv" / "bin" / "python"
