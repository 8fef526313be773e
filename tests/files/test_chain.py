from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mod_wsgi_van.files.chain import MAX_LINKS, resolve
from tests.support.links import swap


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """tmp_path, without the hops that lead to it."""
    return tmp_path.resolve()


def _hops(path: Path, top: Path) -> list[tuple[str, str]]:
    """The hops below ``top``, relative to it."""
    found = resolve(str(path)).hops
    inside = [(Path(directory), name) for directory, name in found]
    return [
        (str(directory.relative_to(top)), name)
        for directory, name in inside
        if directory.is_relative_to(top)
    ]


def test_a_plain_path_from_the_root_down() -> None:
    chain = resolve("/usr/bin/../lib//python3/./")
    assert chain.hops[:2] == (("/", "usr"), ("/usr", "bin"))
    assert chain.hops[2:] == (("/usr", "lib"), ("/usr/lib", "python3"))
    assert chain.end == "/usr/lib/python3"
    assert chain.links == ()


def test_each_link_is_followed_in_turn(top: Path) -> None:
    (top / "real/.builds/1/wsgi").mkdir(parents=True)
    (top / "base").symlink_to("real")
    (top / "real/host").symlink_to(top / "base/.builds/current")
    (top / "real/.builds/current").symlink_to("1")
    assert _hops(top / "base/host/wsgi", top) == [
        (".", "base"),
        (".", "real"),
        ("real", "host"),
        (".", "base"),
        (".", "real"),
        ("real", ".builds"),
        ("real/.builds", "current"),
        ("real/.builds", "1"),
        ("real/.builds/1", "wsgi"),
    ]
    assert resolve(str(top / "base/host/wsgi")).end == str(top / "real/.builds/1/wsgi")


def test_dotdot_is_the_physical_parent(top: Path) -> None:
    (top / "elsewhere/deep").mkdir(parents=True)
    (top / "elsewhere/app").mkdir()
    (top / "link").symlink_to("elsewhere/deep")
    assert resolve(str(top / "link/../app")).end == str(top / "elsewhere/app")


def test_it_ends_at_the_first_missing_name(top: Path) -> None:
    chain = resolve(str(top / "host/wsgi"))
    assert chain.hops[-1] == (str(top), "host")
    assert (chain.end, chain.error, chain.identity) == ("", errno.ENOENT, None)


def test_a_file_in_the_way(top: Path) -> None:
    (top / "host").write_text("")
    chain = resolve(str(top / "host/wsgi"))
    assert chain.hops[-1] == (str(top), "host")  # in a file there is nothing to watch
    assert chain.error == errno.ENOTDIR


def test_loops_are_refused_as_the_kernel_does(top: Path) -> None:
    (top / "a").symlink_to("b")
    (top / "b").symlink_to("a")
    chain = resolve(str(top / "a"))
    assert chain.error == errno.ELOOP
    assert set(chain.hops[-2:]) == {(str(top), "a"), (str(top), "b")}


def test_as_many_links_as_the_kernel_follows(top: Path) -> None:
    (top / "0").mkdir()
    for number in range(MAX_LINKS + 1):
        (top / str(number + 1)).symlink_to(str(number))
    last = top / str(MAX_LINKS)
    assert last.is_dir()
    assert resolve(str(last)).end == str(top / "0")
    with pytest.raises(OSError, match="symbolic links"):
        (top / str(MAX_LINKS + 1)).stat()
    assert resolve(str(top / str(MAX_LINKS + 1))).error == errno.ELOOP


def test_a_relative_path_starts_at_the_directory(top: Path) -> None:
    (top / "a/b").mkdir(parents=True)
    chain = resolve("../b", str(top / "a/b"))
    assert chain.hops == ((str(top / "a"), "b"),)
    assert chain.end == str(top / "a/b")


def test_equal_means_that_nothing_was_exchanged(top: Path) -> None:
    (top / "1").mkdir()
    (top / "2").mkdir()
    (top / "link").symlink_to("1")
    before = resolve(str(top / "link"))
    assert resolve(str(top / "link")) == before
    (top / "1").rmdir()
    (top / "1").mkdir()
    assert resolve(str(top / "link")) != before
    before = resolve(str(top / "link"))
    swap(top / "link", str(top / "1"))
    assert resolve(str(top / "link")) != before
