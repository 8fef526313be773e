"""Settings: how they are given, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router

WRONG: list[tuple[str, Any, str]] = [
    ("watch", "inotfy", "'auto', 'inotify', 'polling'"),
    ("isolation", "thread", "'auto', 'imports', 'process'"),
    ("settle", -1, "0 or more"),
    ("settle", "0.1", "number of seconds"),
    ("update_interval", 0, "more than 0"),
    ("update_interval", float("inf"), "more than 0"),
    ("load_timeout", None, "number of seconds"),
    ("load_timeout", True, "number of seconds"),
    ("grace_period", float("nan"), "0 or more"),
    ("sweep_interval", -60, "0 or more"),
    ("watch_paths", "settings.toml", "sequence of strings"),
    ("watch_paths", ["/etc/passwd"], "relative"),
    ("watch_ignore", "*.pyc", "sequence of strings"),
    ("watch_ignore", [3], "3 is not a name"),
    ("wsgi_dir", "/srv/wsgi", "relative to the vhost"),
    ("wsgi_dir", "../wsgi", "must not leave"),
    ("venv_name", "", "relative to the vhost"),
    ("module_name", "my-app", "Python module"),
    ("object_name", "app.app", "Python object"),
    ("base_path", "", "directory is wanted"),
    ("vhost_pattern", "%x", "%"),
]


@pytest.mark.parametrize(("name", "value", "text"), WRONG)
def test_a_wrong_value_says_what_is_allowed(name: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError) as raised:
        Router(**{name: value})
    assert text in str(raised.value)
    assert name in str(raised.value) or repr(value) in str(raised.value)


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
    with pytest.raises(TypeError, match="setle"):
        Router(setle=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="twice"):
        Router("/srv", base_path="/www")  # type: ignore[misc]


def test_the_interpreter_of_a_worker(tmp_path: Path) -> None:
    router = Router(base_path=str(tmp_path))
    assert router.get_python(tmp_path).resolve().name.startswith("python3")
    (tmp_path / ".venv").mkdir()
    assert router.get_python(tmp_path) == tmp_path / ".venv" / "bin" / "python"
