"""Several names of one site: one release, one set of workers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.hosts import Aliases
from tests.support.client import get, wait_for
from tests.support.links import swap
from tests.support.log import errors, logged
from tests.support.threads import in_threads
from tests.support.vhosts import app, release, site, write
from tests.support.waiting import wait

MakeRouter = Callable[..., Router]

# Tells which load of which text answers.
LOADED = """
import os, uuid
from pathlib import Path
from typing import Any
ME = f"{text} {{os.getpid()}} {{uuid.uuid4()}}"
Path({log!r}).open("a").write(ME + "\\n")
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [ME.encode()]
"""
BOTH = pytest.mark.parametrize("isolation", ["imports", "process"])


def loaded(base: Path) -> list[str]:
    """The texts of all loads."""
    return [line.split()[0] for line in (base / "loads").read_text().splitlines()]


def source(base: Path, text: str) -> str:
    return LOADED.format(text=text, log=str(base / "loads"))


def make(base: Path, name: str, text: str) -> Path:
    write(base / name / "wsgi" / "app.py", source(base, text))
    return base / name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.org", "shop.org"),
        ("www.shop.org", "shop.org"),
        ("a.b.shop.org", "shop.org"),
        ("old.shop.org", "archive.org"),
        ("x.old.shop.org", "shop.org"),
        ("blog.shop.org", "blog.shop.org"),
        ("notshop.org", "notshop.org"),
        ("other.org", "other.org"),
        ("org", "org"),
    ],
)
def test_aliases(host: str, expected: str) -> None:
    names = {"shop.org": ["*.shop.org"], "archive.org": ["old.shop.org"], "blog.shop.org": []}
    assert Aliases(names).site(host) == expected


@BOTH
def test_an_alias_of_the_administrators(
    tmp_path: Path, make_router: MakeRouter, isolation: str
) -> None:
    make(tmp_path, "a.test", "one")
    site(tmp_path, "b.test", "other")
    sites = {"a.test": {"aliases": ["www.a.test", "*.a.org"]}}
    router = make_router(isolation=isolation, sites=sites)
    names = ["www.a.test", "A.test:80", "a.test", "x.y.a.org", "WWW.a.test"]
    assert len({get(router.application, name).body for name in names}) == 1
    assert get(router.application, "a.org").status == 404
    assert get(router.application, "b.test").body == "other"
    make(tmp_path, "a.test", "two")
    for name in names:
        wait(lambda name=name: get(router.application, name).body.startswith("two"))
    assert loaded(tmp_path) == ["one", "two"]


def test_an_alias_is_loaded_before_its_first_request(
    tmp_path: Path, make_router: MakeRouter
) -> None:
    make(tmp_path, "a.test", "one")
    router = make_router(sites={"a.test": {"aliases": ["www.a.test"]}})
    assert router.load("WWW.a.test")
    assert get(router.application, "a.test").body.startswith("one")
    assert loaded(tmp_path) == ["one"]


def test_a_request_for_an_alias_is_passed_on_as_it_is(
    tmp_path: Path, make_router: MakeRouter
) -> None:
    text = app("@").replace("'@'", "environ['HTTP_HOST']")
    write(tmp_path / "a.test" / "wsgi" / "app.py", text)
    router = make_router(sites={"a.test": {"aliases": ["www.a.test"]}})
    assert get(router.application, "www.a.test").body == "www.a.test"


def links_to_the_name(base: Path) -> None:
    make(base, "a.test", "one")
    (base / "www.a.test").symlink_to("a.test")
    (base / "other.test").symlink_to(base / "www.a.test")


def links_to_a_link(base: Path) -> None:
    make(base, ".sites/a/1", "one")
    (base / ".sites/a/current").symlink_to("1")
    for name in ("a.test", "www.a.test", "other.test"):
        (base / name).symlink_to(".sites/a/current")


@BOTH
@pytest.mark.parametrize("lay_out", [links_to_the_name, links_to_a_link])
@pytest.mark.parametrize("first", ["a.test", "other.test"])
def test_a_link_to_the_same_directory_is_the_same_site(
    tmp_path: Path,
    make_router: MakeRouter,
    caplog: pytest.LogCaptureFixture,
    isolation: str,
    lay_out: Callable[[Path], None],
    first: str,
) -> None:
    caplog.set_level("INFO")
    lay_out(tmp_path)
    router = make_router(isolation=isolation)
    names = sorted(["a.test", "www.a.test", "other.test"], key=lambda name: name != first)
    assert len({get(router.application, name).body for name in names}) == 1
    wait(lambda: logged(caplog, "has the release of ") == 2)
    assert loaded(tmp_path) == ["one"]
    directory = (tmp_path / "a.test").resolve()
    for text in ("two", "three"):
        make(directory.parent, directory.name, text)
        (directory / "wsgi" / "app.py").write_text(source(tmp_path, text))
        for name in names:
            wait(lambda n=name, t=text: get(router.application, n).body.startswith(t))
        assert len({get(router.application, name).body for name in names}) == 1
    assert loaded(tmp_path) == ["one", "two", "three"]
    assert not errors(caplog)


@BOTH
def test_many_first_requests_at_once_load_once(
    tmp_path: Path, make_router: MakeRouter, isolation: str
) -> None:
    links_to_a_link(tmp_path)
    for number in range(5):
        (tmp_path / f"h{number}.test").symlink_to("a.test")
    router = make_router(isolation=isolation)
    answers = set()
    in_threads(5, lambda number: answers.add(get(router.application, f"h{number}.test").body))
    assert len(answers) == 1
    assert loaded(tmp_path) == ["one"]


@BOTH
def test_a_swap_of_the_link_that_they_share(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    links_to_a_link(tmp_path)
    for number in range(2, 6):
        make(tmp_path, f".sites/a/{number}", str(number))
    router = make_router(isolation=isolation)
    names = ["a.test", "www.a.test", "other.test"]
    for name in names:
        assert get(router.application, name).body.startswith("one")
    for number in range(2, 6):
        swap(tmp_path / ".sites/a/current", str(number))
        for name in names:
            wait(lambda n=name, t=number: get(router.application, n).body.startswith(str(t)))
        assert len({get(router.application, name).body for name in names}) == 1
    assert loaded(tmp_path) == ["one", "2", "3", "4", "5"]
    assert not errors(caplog)


@BOTH
def test_names_that_part(
    tmp_path: Path, make_router: MakeRouter, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    """Each goes its own way; what the other one still has is not retired."""
    make(tmp_path, ".builds/1", "one")
    make(tmp_path, ".builds/2", "two")
    for name in ("a.test", "b.test"):
        (tmp_path / name).symlink_to(".builds/1")
    router = make_router(isolation=isolation, grace_period=0)
    both = {get(router.application, name).body for name in ("a.test", "b.test")}
    swap(tmp_path / "a.test", ".builds/2")
    wait(lambda: get(router.application, "a.test").body.startswith("two"))
    swap(tmp_path / "a.test", ".builds/1")
    wait(lambda: {get(router.application, "a.test").body} == both)
    (tmp_path / "a.test").unlink()
    wait(lambda: get(router.application, "a.test").status == 404)
    assert {get(router.application, "b.test").body} == both
    assert loaded(tmp_path) == ["one", "two"]
    (tmp_path / "b.test").unlink()
    wait(lambda: get(router.application, "b.test").status == 404)
    assert not errors(caplog)


@BOTH
def test_a_broken_deploy_of_a_site_with_two_names(
    tmp_path: Path, make_router: MakeRouter, isolation: str
) -> None:
    links_to_a_link(tmp_path)
    release(tmp_path, "a", 9, "raise ValueError('broken')")
    router = make_router(isolation=isolation)
    names = ["a.test", "www.a.test"]
    before = {get(router.application, name).body for name in names}
    swap(tmp_path / ".sites/a/current", tmp_path / ".builds/a/9")
    wait(lambda: all(router._engine.sites.site("", tmp_path / n).attempts > 1 for n in names))
    assert {get(router.application, name).body for name in names} == before
    swap(tmp_path / ".sites/a/current", "1")
    make(tmp_path, ".sites/a/1", "mended")
    for name in names:
        wait(lambda name=name: get(router.application, name).body.startswith("mended"))
    assert len({get(router.application, name).body for name in names}) == 1


def test_what_is_decided_for_one_name_holds_for_the_other(
    tmp_path: Path, make_router: MakeRouter
) -> None:
    make(tmp_path, "a.test", "one")
    (tmp_path / "www.a.test").symlink_to("a.test")
    router = make_router(sites={"a.test": {"isolation": "process"}})
    bodies = {get(router.application, name).body for name in ("www.a.test", "a.test")}
    assert len(bodies) == 1 and f" {os.getpid()} " not in bodies.pop()


@pytest.mark.parametrize("real", ["a.test", "www.a.test", "builds"])
def test_what_is_decided_for_one_name_holds_for_one_that_is_loaded_later(
    tmp_path: Path, make_router: MakeRouter, real: str
) -> None:
    make(tmp_path / "base", real, "one")
    (tmp_path / "link").symlink_to("base")
    for name in {"a.test", "www.a.test"} - {real}:
        (tmp_path / "base" / name).symlink_to(real)
    router = make_router(base_path=tmp_path / "link", sites={"a.test": {"isolation": "process"}})
    bodies = {get(router.application, name).body for name in ("a.test", "www.a.test")}
    assert len(bodies) == 1 and f" {os.getpid()} " not in bodies.pop()


def test_no_other_site_is_looked_at_for_what_is_decided(
    tmp_path: Path, make_router: MakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = os.stat

    def stat(path: Any, *args: Any, **named: Any) -> os.stat_result:
        asked.append(str(path))
        return real(path, *args, **named)

    for name in ("a.test", "hung.test"):
        site(tmp_path, name, "one")
    router = make_router(sites={"hung.test": {"threads": 1}})
    monkeypatch.setattr(os, "stat", stat)
    assert get(router.application, "a.test").body == "one"
    router.get_version(tmp_path / "a.test")
    assert any("a.test" in path for path in asked)
    assert not [path for path in asked if "hung.test" in path]


def test_names_of_which_different_things_are_decided(
    tmp_path: Path, make_router: MakeRouter
) -> None:
    make(tmp_path, "a.test", "one")
    (tmp_path / "b.test").symlink_to("a.test")
    router = make_router(sites={"a.test": {"threads": 2}, "b.test": {"threads": 1}})
    bodies = {get(router.application, name).body for name in ("a.test", "b.test")}
    assert len(bodies) == 2


def test_directories_that_share_their_wsgi_alone_are_two_sites(
    tmp_path: Path, make_router: MakeRouter
) -> None:
    make(tmp_path, "a.test", "one")
    (tmp_path / "b.test").mkdir()
    (tmp_path / "b.test" / "wsgi").symlink_to("../a.test/wsgi")
    router = make_router()
    bodies = {get(router.application, name).body for name in ("a.test", "b.test")}
    assert len(bodies) == 2


def test_a_touch_reloads_all_names(tmp_path: Path, make_router: MakeRouter) -> None:
    make(tmp_path, "a.test", "one")
    (tmp_path / "b.test").symlink_to("a.test")
    router = make_router()
    before = {get(router.application, name).body for name in ("a.test", "b.test")}
    (tmp_path / "a.test" / "wsgi").touch()
    for name in ("a.test", "b.test"):
        wait(lambda name=name: get(router.application, name).body not in before)
    assert len({get(router.application, name).body for name in ("a.test", "b.test")}) == 1
    assert len(loaded(tmp_path)) == 2


def test_a_directory_that_takes_the_place_of_the_other_name(
    tmp_path: Path, make_router: MakeRouter
) -> None:
    make(tmp_path, "a.test", "one")
    (tmp_path / "b.test").symlink_to("a.test")
    router = make_router()
    for name in ("a.test", "b.test"):
        assert get(router.application, name).body.startswith("one")
    (tmp_path / "b.test").unlink()
    shutil.copytree(tmp_path / "a.test", tmp_path / "b.test")
    site(tmp_path, "b.test", "of its own")
    wait_for(router.application, "b.test", "of its own")
    assert get(router.application, "a.test").body.startswith("one")


ENDS = """
import atexit
@atexit.register
def end():
    with open({log!r}, "a") as file:
        file.write("end ")
"""


@BOTH
@pytest.mark.parametrize("how", ["shutdown", "removed", "replaced"])
def test_a_release_with_several_names_ends_once(
    tmp_path: Path, make_router: MakeRouter, isolation: str, how: str
) -> None:
    names = ["a.test", "b.test", "c.test"]
    log = tmp_path / "ends"
    log.touch()
    write(tmp_path / ".sites" / "1" / "wsgi" / "app.py", ENDS.format(log=str(log)) + app("one"))
    site(tmp_path / ".sites", "2", "two")
    for name in names:
        (tmp_path / name).symlink_to(".sites/1")
    router = make_router(isolation=isolation, grace_period=0)
    for name in names:
        assert get(router.application, name).body == "one"
    for name in names if how != "shutdown" else []:
        assert log.read_text() == ""
        (tmp_path / name).unlink()
        if how == "replaced":
            (tmp_path / name).symlink_to(".sites/2")
        status = 404 if how == "removed" else 200
        wait(
            lambda name=name, status=status: (
                (answer := get(router.application, name)).status == status and answer.body != "one"
            )
        )
    router.shutdown()
    wait(lambda: log.read_text() == "end ", tell=log.read_text)
