"""What changes the version of a vhost, and what does not."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version, measure
from tests.support.vhosts import site, write

PAST = 1_600_000_000


def version(path: Path, **further: tuple[str, ...]) -> Version:
    return measure(Target(str(path), **further), Ignore())


@pytest.fixture
def wsgi(tmp_path: Path) -> Path:
    """A wsgi directory whose times lie in the past, so that any touch shows."""
    directory = site(tmp_path, "a.test", views="X = 1\n") / "wsgi"
    write(directory / "package" / "__init__.py", "")
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (PAST, PAST))
    return directory


def test_nothing_changed(wsgi: Path) -> None:
    before = version(wsgi)
    for path in wsgi.rglob("*.py"):
        path.read_text()
    assert version(wsgi) == before


def test_an_edit_with_equal_size_and_mtime(wsgi: Path) -> None:
    before = version(wsgi)
    (wsgi / "views.py").write_text("X = 2\n")
    os.utime(wsgi / "views.py", (PAST, PAST))
    assert version(wsgi) != before


def test_a_new_file_in_a_subpackage(wsgi: Path) -> None:
    before = version(wsgi)
    new = wsgi / "package" / "new.py"
    new.write_text("")
    assert version(wsgi) != before
    while new.stat().st_ctime_ns == (wsgi / "app.py").stat().st_ctime_ns:  # the clock is coarse
        os.utime(new)
    assert version(wsgi).latest == "package/new.py"


def test_an_atomic_save(wsgi: Path) -> None:
    before = version(wsgi)
    (wsgi / "views.py.new").write_text("X = 1\n")
    os.utime(wsgi / "views.py.new", (PAST, PAST))
    os.replace(wsgi / "views.py.new", wsgi / "views.py")
    os.utime(wsgi, (PAST, PAST))
    assert version(wsgi) != before


def test_a_deleted_file(wsgi: Path) -> None:
    before = version(wsgi)
    (wsgi / "views.py").unlink()
    os.utime(wsgi, (PAST, PAST))
    assert version(wsgi) != before


def test_touch(wsgi: Path) -> None:
    before = version(wsgi)
    os.utime(wsgi)
    assert version(wsgi) != before


def test_bytecode_that_appears_and_a_touch_after_it(wsgi: Path) -> None:
    before = version(wsgi)
    (wsgi / "__pycache__").mkdir()
    appeared = version(wsgi)
    assert appeared == before
    (wsgi / "__pycache__" / "views.pyc").write_bytes(b"")
    assert version(wsgi) == appeared
    os.utime(wsgi, (PAST + 9, PAST + 9))
    assert version(wsgi) != appeared


def test_a_journal_that_comes_and_goes_beside_its_database(wsgi: Path) -> None:
    (wsgi / "db.sqlite3").write_text("")
    before = version(wsgi)
    (wsgi / "db.sqlite3-journal").write_text("")
    (wsgi / "db.sqlite3").write_text("data")
    (wsgi / "db.sqlite3-journal").unlink()
    assert version(wsgi) == before


@pytest.mark.parametrize("name", ["app.py~", ".app.py.swp", "4913", "#app.py#", ".app.py.Xa81bc"])
def test_what_editors_and_rsync_leave(wsgi: Path, name: str) -> None:
    before = version(wsgi)
    (wsgi / name).write_text("half")
    assert version(wsgi) == before


def test_ignored_directories_are_not_entered(wsgi: Path) -> None:
    before = version(wsgi)
    write(wsgi / "node_modules" / "x" / "index.js", "")
    write(wsgi / "package" / "__pycache__" / "x.pyc", "")
    assert version(wsgi) == before


def test_a_swap_to_an_identical_copy(tmp_path: Path) -> None:
    for number in ("1", "2"):
        write(tmp_path / number / "app.py", "same")
        os.utime(tmp_path / number / "app.py", (PAST, PAST))
        os.utime(tmp_path / number, (PAST, PAST))
    link = tmp_path / "link"
    link.symlink_to("1")
    before = version(link)
    link.unlink()
    link.symlink_to("2")
    assert version(link) != before
    assert version(link).directory == str(tmp_path / "2")


def test_a_linked_file_and_a_loop_of_links(tmp_path: Path, wsgi: Path) -> None:
    (tmp_path / "shared.py").write_text("1")
    (wsgi / "shared.py").symlink_to(tmp_path / "shared.py")
    (wsgi / "package" / "loop").symlink_to(wsgi)
    (wsgi / "dangling.py").symlink_to("nowhere")
    before = version(wsgi)
    assert version(wsgi) == before
    (tmp_path / "shared.py").write_text("2")
    assert version(wsgi) != before


def test_further_paths(tmp_path: Path, wsgi: Path) -> None:
    restart, settings = tmp_path / "restart.txt", tmp_path / "settings"
    further = {"trees": (str(restart), str(settings))}
    versions = [version(wsgi, **further)]
    for change in (
        restart.touch,
        lambda: write(settings / "a" / "b.toml", "1"),
        lambda: write(settings / "a" / "b.toml", "22"),
        restart.unlink,
    ):
        change()
        versions.append(version(wsgi, **further))
    assert all(a != b for a, b in itertools.pairwise(versions))


def test_a_directory_among_the_files_counts_by_its_entries(tmp_path: Path, wsgi: Path) -> None:
    packages = tmp_path / "site-packages"
    write(packages / "flask" / "__init__.py", "")
    before = version(wsgi, files=(str(packages),))
    write(packages / "flask" / "views.py", "")
    assert version(wsgi, files=(str(packages),)) == before
    (packages / "jinja2").mkdir()
    assert version(wsgi, files=(str(packages),)) != before


def test_what_is_not_a_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        version(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        version(tmp_path / "file")


def test_the_default_globs_leave_code_alone() -> None:
    ignore = Ignore()
    names = ["app.py", ".env", "settings.toml", "index.html", "a.so", "x.mo", ".htaccess", "1.py"]
    assert not [name for name in names if ignore(name)]
    assert not Ignore(())("anything")


def test_an_ignored_name_that_appears_while_it_is_measured(wsgi: Path) -> None:
    """The names and the mtime that are compared must be of the same moment."""

    class Appearing(Ignore):
        def __call__(self, name: str) -> bool:
            (wsgi / "__pycache__").mkdir(exist_ok=True)
            return super().__call__(name)

    target = Target(str(wsgi))
    during = measure(target, Appearing())
    assert during == measure(target, Ignore())
    assert not measure(target, Ignore()).touched_since(during)


def test_further_paths_have_one_count_together(tmp_path: Path, wsgi: Path) -> None:
    for number in range(30):
        write(tmp_path / "one" / f"{number}.txt", "")
        write(tmp_path / "two" / f"{number}.txt", "")

    def partial(*names: str) -> bool:
        trees = tuple(f"{tmp_path}/{name}" for name in names)
        return measure(Target(str(wsgi), trees=trees), Ignore(), most=50).partial

    assert not partial("one")
    assert not partial("one", "one/", "one//", "one/../one")
    assert partial("one", "two")


def test_a_further_path_that_leads_into_another_one(tmp_path: Path, wsgi: Path) -> None:
    write(tmp_path / "data" / "below" / "x.txt", "")
    trees = (str(tmp_path / "data"), str(tmp_path / "data" / "below"))
    before = version(wsgi, trees=trees)
    write(tmp_path / "data" / "below" / "y.txt", "")
    assert version(wsgi, trees=trees) != before
