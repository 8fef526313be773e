import os
from pathlib import Path

import pytest

from mod_wsgi_van.cli import apache
from mod_wsgi_van.cli.apache import Apache
from mod_wsgi_van.cli.problem import Unusable

EVERYTHING = Apache("/usr/sbin/httpd", "/modules", frozenset({"core.c"}), "/modules/mod_wsgi.so")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An httpd and its modules as files; PATH has nothing else."""
    program = tmp_path / "sbin/httpd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'Compiled in modules:\\n  core.c\\n  event.c\\n'\n")
    program.chmod(0o755)
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in ("authz_core", "mpm_event", "mpm_prefork", "wsgi"):
        (modules / f"mod_{name}.so").touch()
    monkeypatch.setenv("PATH", "/nonexistent")
    return tmp_path


def find(machine: Path) -> Apache:
    return apache.find([str(machine / "sbin")], ["/nonexistent", str(machine / "modules")])


def test_httpd_its_modules_and_mod_wsgi_are_found(machine: Path) -> None:
    found = find(machine)
    assert found.program == str(machine / "sbin/httpd")
    assert found.modules == str(machine / "modules")
    assert {"core.c", "event.c"} <= found.built_in
    assert found.wsgi_module == str(machine / "modules/mod_wsgi.so")
    assert found.python_home == ""


def test_red_hats_name_of_mod_wsgi_is_known(machine: Path) -> None:
    (machine / "modules/mod_wsgi.so").rename(machine / "modules/mod_wsgi_python3.so")
    assert find(machine).wsgi_module == str(machine / "modules/mod_wsgi_python3.so")


def test_mod_wsgi_from_pypi_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = machine / "site-packages/mod_wsgi"
    (package / "server").mkdir(parents=True)
    (package / "__init__.py").touch()
    built = package / "server/mod_wsgi-py311.cpython-311-x86_64-linux-gnu.so"
    built.touch()
    monkeypatch.syspath_prepend(str(package.parent))
    found = find(machine)
    assert found.wsgi_module == str(built)
    assert f'WSGIPythonHome "{found.python_home}"' in configured(found)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("sbin/httpd", "no Apache httpd"),
        ("modules/mod_authz_core.so", "modules of .* are in none of /nonexistent, "),
        ("modules/mod_wsgi.so", "no mod_wsgi .*pip install mod_wsgi"),
    ],
)
def test_what_is_missing_is_told_with_a_remedy(machine: Path, missing: str, words: str) -> None:
    (machine / missing).unlink()
    with pytest.raises(Unusable, match=words):
        find(machine)


def configured(found: Apache, user: str = "", static: str = "") -> list[str]:
    private = apache.Private(Path("/the root"), "127.0.0.1:8080", user, static)
    return [line.strip() for line in apache.configuration(found, private).splitlines()]


def test_the_configuration_is_the_recommended_one() -> None:
    lines = configured(EVERYTHING)
    for line in (
        "UseCanonicalName Off",
        "WSGIRestrictEmbedded On",
        "WSGIProcessGroup van",
        "WSGIApplicationGroup %{GLOBAL}",
        'WSGIScriptAlias / "/the root/van.wsgi"',
        "Listen 127.0.0.1:8080",
    ):
        assert lines.count(line) == 1, line
    (daemon,) = (line for line in lines if line.startswith("WSGIDaemonProcess "))
    assert 'python-path="/the root/python"' in daemon and " processes=1 " in daemon
    assert not [line for line in lines if line.startswith(("User ", "Group ", "WSGIPythonHome "))]


def test_every_directive_comes_after_its_module() -> None:
    lines = configured(EVERYTHING)
    kinds = [line.startswith("LoadModule ") for line in lines]
    assert kinds == sorted(kinds, reverse=True)


def test_a_module_that_is_built_in_is_not_loaded(machine: Path) -> None:
    built_in = Apache("x", "/m", frozenset({"mod_unixd.c", "worker.c"}), "/m/mod_wsgi.so")
    lines = "\n".join(configured(built_in))
    assert "unixd_module" not in lines and "mpm_" not in lines
    assert 'LoadModule authz_core_module "/m/mod_authz_core.so"' in lines
    one_mpm = Apache("x", str(machine / "modules"), frozenset(), "/m/mod_wsgi.so")
    assert [line.split()[1] for line in configured(one_mpm) if "mpm_" in line] == [
        "mpm_event_module"
    ]


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({"base_path": "/srv/www"}, "/srv/www"),
        ({"base_path": "/srv/www", "vhost_pattern": "%0"}, "/srv/www"),
        ({"base_path": "/srv/www", "vhost_pattern": "%1"}, ""),
        ({"base_path": "/srv/100%"}, ""),
        ({"base_path": "/srv/$1"}, ""),
        ({"base_path": "/srv/a\\b"}, ""),
        ({"base_path": '/srv/"'}, ""),
    ],
)
def test_static_files_are_served_where_mod_rewrite_can(settings: dict[str, str], base: str) -> None:
    assert apache.static(settings) == base


def test_without_mod_rewrite_and_mod_mime_there_are_no_static_files(machine: Path) -> None:
    bare = "\n".join(configured(find(machine), static="/srv"))
    assert "Rewrite" not in bare and "TypesConfig" not in bare
    for name in ("rewrite", "mime"):
        (machine / f"modules/mod_{name}.so").touch()
    full = "\n".join(configured(find(machine), static="/srv"))
    assert 'RewriteRule "^/(.+)" "/srv/%{SERVER_NAME}/static/$1" [L]' in full
    assert "LoadModule mime_module" in full and "TypesConfig" in full
    assert "RewriteRule" not in "\n".join(configured(find(machine), static=""))


def test_roots_httpd_becomes_somebody() -> None:
    user = apache.daemon_user()
    assert bool(user) == (os.geteuid() == 0)
    directives = [line.split()[0] for line in configured(EVERYTHING, user)]
    assert directives.count("User") == directives.count("Group") == (1 if user else 0)


def test_a_directory_closed_to_httpds_user_is_told(open_path: Path) -> None:
    user = apache.daemon_user()
    below = open_path / "closed/below"
    below.mkdir(parents=True)
    apache.check_readable(user, str(below))
    below.parent.chmod(0o700)
    if user:
        with pytest.raises(Unusable, match=f"user {user}.* cannot read {below}"):
            apache.check_readable(user, str(below))
    else:  # httpd runs as the caller, who was asked already
        apache.check_readable(user, str(below))


@pytest.mark.parametrize(
    ("text", "argument"), [("a b", '"a b"'), ('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"')]
)
def test_an_argument_is_quoted(text: str, argument: str) -> None:
    assert apache.quoted(text) == argument


def test_httpd_inherits_nothing_that_changes_its_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PATH", "/home/somebody/.venv/bin")
    monkeypatch.setenv("MOD_WSGI_VAN_WATCH", "polling")
    environ = apache.environ()
    assert "PYTHONDONTWRITEBYTECODE" not in environ
    assert ".venv" not in environ["PATH"]
    assert environ["MOD_WSGI_VAN_WATCH"] == "polling"
