"""What every watcher does. Each test runs on inotify, on polling and on the choice between them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.files.target import Target
from tests.support.children import in_child
from tests.support.links import exchange, swap
from tests.support.threads import busy
from tests.watch.probe import Probe, release


def _ln(link: Path, target: str) -> None:
    subprocess.run(["ln", "-sfn", target, link], check=True)


def _mv(link: Path, target: str) -> None:
    temporary = link.with_name("next")
    temporary.symlink_to(target)
    subprocess.run(["mv", "-T", temporary, link], check=True)


def _exchange(link: Path, target: str) -> None:
    temporary = link.with_name("next")
    temporary.symlink_to(target)
    exchange(temporary, link)
    temporary.unlink()


def _from_outside(link: Path, target: str) -> None:
    temporary = link.parent.parent / "outside"
    temporary.symlink_to(target)
    temporary.rename(link)


def _in_two_steps(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """base/host -> .builds/host/1, with a second release beside it."""
    base = tmp_path / "base"
    release(base / ".builds/host/1")
    release(base / ".builds/host/2")
    (base / "host").symlink_to(".builds/host/1")
    return base


@pytest.mark.parametrize("way", [_ln, _mv, swap, _exchange, _from_outside, _in_two_steps])
def test_every_way_to_swap(probe: Probe, base: Path, way: Callable[[Path, str], None]) -> None:
    probe.add("host", base / "host/wsgi")
    for number in (2, 1):
        probe.expect("host", lambda n=number: way(base / "host", f".builds/host/{n}"))
        app = base / f".builds/host/{number}/wsgi/app.py"
        probe.expect("host", lambda app=app: app.write_text("app = 2\n"))


def test_renamed_away_and_another_event_at_once(probe: Probe, base: Path) -> None:
    release(base / "other")
    probe.add("host", base / "host/wsgi")
    probe.add("other", base / "other/wsgi")

    before = probe.changes["host"]

    def both() -> None:
        (base / "other").rename(base.parent / "gone")
        swap(base / "host", ".builds/host/2")

    probe.expect("other", both)
    probe.wait_for_change("host", before)


@pytest.fixture
def hops(tmp_path: Path) -> Path:
    """base -> real1, host -> .builds/host, current -> releases/1, wsgi -> src: each with another
    that leads to a release of its own."""
    for real in ("real1", "real2"):
        for build in (".builds/host", ".builds/host2"):
            for number in ("releases/1", "releases/2"):
                home = tmp_path / real / build / number
                for source in ("src", "src2"):
                    release(home / source)
                (home / "wsgi").symlink_to("src/wsgi")
            (tmp_path / real / build / "current").symlink_to("releases/1")
        (tmp_path / real / "host").symlink_to(".builds/host")
    (tmp_path / "base").symlink_to("real1")
    return tmp_path / "base"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("", "real2"),
        ("host", ".builds/host2"),
        ("host/current", "releases/2"),
        ("host/current/wsgi", "src2/wsgi"),
    ],
)
def test_each_hop_swapped_then_edit_in_the_new_target(
    probe: Probe, hops: Path, link: str, target: str
) -> None:
    path = hops / "host/current/wsgi"
    probe.add("host", path)
    old = path.resolve()
    probe.expect("host", lambda: swap(hops / link, target))
    assert path.resolve() != old
    probe.expect("host", lambda: (path.resolve() / "app.py").write_text("app = 2\n"))
    probe.expect_nothing(lambda: (old / "app.py").write_text("app = 3\n"))


def test_nothing_from_a_directory_that_was_moved_away(probe: Probe, tmp_path: Path) -> None:
    release(tmp_path / "base/host")
    probe.add("host", tmp_path / "base/host/wsgi")
    probe.expect("host", lambda: (tmp_path / "base/host").rename(tmp_path / "gone"))
    probe.expect_nothing(lambda: (tmp_path / "gone/wsgi/app.py").write_text("app = 2\n"))


def test_nothing_from_a_package_that_was_moved_away(probe: Probe, tmp_path: Path) -> None:
    wsgi = release(tmp_path / "base/host")
    probe.add("host", wsgi)
    probe.expect("host", lambda: (wsgi / "package").rename(tmp_path / "gone"))
    probe.expect_nothing(lambda: (tmp_path / "gone/__init__.py").write_text("app = 2\n"))


@pytest.mark.parametrize("how", ["delete", "rename", "exchange"])
def test_base_gone_and_back(probe: Probe, tmp_path: Path, how: str) -> None:
    base, spare = tmp_path / "top/base", tmp_path / "top/spare"
    release(base / "host")
    release(spare / "host")
    probe.add("host", base / "host/wsgi")
    if how == "exchange":
        probe.expect("host", lambda: exchange(base, spare))
    else:
        gone = tmp_path / "gone"
        probe.expect("host", lambda: shutil.rmtree(base) if how == "delete" else base.rename(gone))
        probe.expect("host", lambda: spare.rename(base))
    probe.expect("host", lambda: (base / "host/wsgi/app.py").write_text("app = 2\n"))


def test_all_of_base_is_made_later(probe: Probe, tmp_path: Path) -> None:
    path = tmp_path / "not/yet/base/host/wsgi"
    probe.add("host", path)
    probe.expect("host", lambda: release(path.parent))
    probe.expect("host", lambda: (path / "app.py").write_text("app = 2\n"))


@pytest.mark.parametrize("verb", ["stop", "after_fork"])
def test_a_forked_child_takes_nothing_from_its_parent(probe: Probe, base: Path, verb: str) -> None:
    probe.add("host", base / "host/wsgi")
    in_child(getattr(probe.watcher, verb))
    probe.expect("host", lambda: swap(base / "host", ".builds/host/2"))
    probe.expect("host", lambda: (base / "host/wsgi/app.py").write_text("app = 2\n"))


def test_a_forked_child_starts_its_own(probe: Probe, base: Path) -> None:
    probe.add("host", base / "host/wsgi")

    def test() -> None:
        probe.after_fork()
        probe.start()
        probe.add("host", base / "host/wsgi")
        probe.expect("host", lambda: swap(base / "host", ".builds/host/2"))
        probe.stop()

    in_child(test)
    probe.expect("host", lambda: swap(base / "host", ".builds/host/1"))


def test_with_busy_threads(probe: Probe, base: Path) -> None:
    probe.add("host", base / "host/wsgi")
    with busy(4):
        for number in (2, 1, 2):
            probe.expect("host", lambda n=number: swap(base / "host", f".builds/host/{n}"))


def test_same_inode_number_and_same_mtime(probe: Probe, tmp_path: Path) -> None:
    wsgi = release(tmp_path / "host")
    os.utime(wsgi, ns=(1, 1))
    probe.add("host", wsgi)

    def replace() -> None:
        inode = wsgi.stat().st_ino
        for _ in range(50):  # ext4 gives the number again in about half of all cases
            shutil.rmtree(wsgi)
            release(tmp_path / "host")
            os.utime(wsgi, ns=(1, 1))
            if wsgi.stat().st_ino == inode:
                return

    probe.expect("host", replace)
    probe.expect("host", lambda: (wsgi / "app.py").write_text("app = 2\n"))


def test_a_loop_and_a_dangling_link_that_are_repaired(probe: Probe, base: Path) -> None:
    for broken in ("host", "nowhere"):
        swap(base / "host", broken)
        probe.add(broken, base / "host/wsgi")
        probe.expect(broken, lambda: swap(base / "host", ".builds/host/1"))
        probe.expect(
            broken, lambda: (base / "host/wsgi/app.py").write_text(f"app = {os.urandom(4)!r}\n")
        )


def test_a_dangling_link_whose_target_appears(probe: Probe, base: Path) -> None:
    swap(base / "host", ".builds/host/3")
    probe.add("host", base / "host/wsgi")
    probe.expect("host", lambda: release(base / ".builds/host/3"))


def test_a_file_where_a_directory_is_wanted(probe: Probe, base: Path) -> None:
    """Nothing can be armed in a file, and trying again without end would take a core."""
    host = base / "file"
    host.write_text("")
    probe.add("host", host / "wsgi")
    probe.expect_nothing(lambda: time.sleep(0.1))

    def mend() -> None:
        host.unlink()
        release(host)

    probe.expect("host", mend)
    probe.expect("host", lambda: (host / "wsgi/package/x.py").write_text("x = 1\n"))


def test_a_link_through_a_file_in_the_tree(probe: Probe, base: Path) -> None:
    wsgi = release(base / "through")
    (base / "file").write_text("")
    (wsgi / "link").symlink_to("../../file/further")
    probe.add("host", wsgi)
    probe.expect_nothing(lambda: time.sleep(0.1))
    probe.expect("host", lambda: (wsgi / "package/x.py").write_text("x = 1\n"))


def test_a_vhost_that_appears_later(probe: Probe, base: Path) -> None:
    probe.add("new", base / "new/wsgi", tree=False)
    probe.expect("new", lambda: (base / "new").symlink_to(".builds/host/1"))


@pytest.mark.parametrize("name", ["__pycache__", "x.pyc", ".app.py.swp", "node_modules", ".git"])
def test_ignored_names_cause_nothing(probe: Probe, tmp_path: Path, name: str) -> None:
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)

    def appear() -> None:
        if "." in name[1:]:
            (wsgi / name).write_text("x")
        else:
            (wsgi / name).mkdir()
            (wsgi / name / "inside.py").write_text("x")
            (wsgi / name / "inside.py").write_text("y")
            (wsgi / name / "inside").mkdir()
            (wsgi / name / "inside/inside.py").write_text("y")

    probe.expect_nothing(appear)
    probe.expect_nothing(lambda: (wsgi / "app.py").read_text())


def test_names_that_one_key_ignores_besides(probe: Probe, base: Path) -> None:
    wsgi = base / ".builds/host/1/wsgi"
    (wsgi / "media").mkdir()
    probe.add("one", wsgi, ignored=("media", "*.csv"))
    probe.expect_nothing(lambda: (wsgi / "upload.csv").write_text("one"))
    probe.expect_nothing(lambda: (wsgi / "media/upload.py").write_text("one"))
    probe.add("other", wsgi)
    before = probe.changes["one"], probe.hints["one"]
    probe.expect("other", lambda: (wsgi / "upload.csv").write_text("two"))
    probe.expect("other", lambda: (wsgi / "media/upload.py").write_text("two"))
    assert (probe.changes["one"], probe.hints["one"]) == before
    probe.expect("one", lambda: (wsgi / "app.py").write_text("app = 2\n"))


def test_edits(probe: Probe, tmp_path: Path) -> None:
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    probe.expect("host", lambda: (wsgi / "package/__init__.py").write_text("x = 1\n"))
    probe.expect("host", lambda: (wsgi / "new.py").write_text("x = 1\n"))
    probe.expect("host", lambda: (wsgi / "new.py").replace(wsgi / "app.py"))
    probe.expect("host", lambda: (wsgi / "app.py").unlink())
    probe.expect("host", lambda: release(wsgi / "deep/down"))
    probe.expect("host", lambda: (wsgi / "deep/down/wsgi/package/x.py").write_text("x = 1\n"))
    probe.expect("host", lambda: (wsgi / "deep").rename(wsgi / "deeper"))
    probe.expect("host", lambda: (wsgi / "deeper/down/wsgi/package/x.py").write_text("x = 2\n"))
    probe.expect("host", lambda: os.utime(wsgi))


def test_symlinks_in_the_tree_are_followed(probe: Probe, tmp_path: Path) -> None:
    wsgi = release(tmp_path / "host")
    shared = release(tmp_path / "shared")
    (wsgi / "shared").symlink_to("../../shared")
    (wsgi / "config.py").symlink_to("../../config.py")
    (wsgi / "loop").symlink_to(".")
    probe.add("host", wsgi)
    probe.expect("host", lambda: (tmp_path / "config.py").write_text("x = 1\n"))
    probe.expect("host", lambda: (tmp_path / "config.py").write_text("x = 22\n"))
    probe.expect("host", lambda: (shared / "app.py").write_text("x = 1\n"))
    release(tmp_path / "late")
    probe.expect("host", lambda: (wsgi / "late").symlink_to("../../late"))
    probe.expect("host", lambda: (tmp_path / "late/wsgi/app.py").write_text("x = 22\n"))
    probe.expect("host", lambda: (wsgi / "late").unlink())
    probe.expect_nothing(lambda: (tmp_path / "late/wsgi/app.py").write_text("x = 333\n"))


def test_further_trees_and_files(probe: Probe, tmp_path: Path) -> None:
    wsgi = release(tmp_path / "host")
    site = tmp_path / "site-packages"
    release(site)
    settings, tree = tmp_path / "etc/settings.toml", tmp_path / "templates"
    probe.add("host", wsgi, trees=(str(settings), str(tree)), files=(str(site),))
    probe.expect("host", lambda: settings.parent.mkdir() or settings.write_text("a"))
    probe.expect("host", lambda: settings.write_text("bb"))
    probe.expect("host", lambda: (tree / "deep").mkdir(parents=True))
    probe.expect("host", lambda: (tree / "deep/page.html").write_text("a"))
    probe.expect("host", lambda: (site / "new").mkdir())
    probe.expect_nothing(lambda: (site / "wsgi/package/x.py").write_text("a"))
    probe.expect("host", lambda: settings.unlink())


def test_without_a_tree_only_the_way_counts(probe: Probe, base: Path) -> None:
    probe.add("host", base / "host/wsgi", tree=False)
    probe.expect_nothing(lambda: (base / "host/wsgi/package/x.py").write_text("x"))
    probe.expect("host", lambda: swap(base / "host", ".builds/host/2"))


def test_add_again_with_other_paths(probe: Probe, base: Path) -> None:
    probe.add("host", base / "host/wsgi")
    release(base / "other")
    probe.add("host", base / "other/wsgi")
    probe.expect("host", lambda: (base / "other/wsgi/app.py").write_text("app = 2\n"))
    probe.expect_nothing(lambda: swap(base / "host", ".builds/host/2"))


def test_add_again_with_the_same_paths_reports_nothing(probe: Probe, base: Path) -> None:
    probe.add("host", base / "host/wsgi")
    probe.expect_nothing(lambda: probe.add("host", base / "host/wsgi"))
    probe.expect("host", lambda: swap(base / "host", ".builds/host/2"))


def test_remove(probe: Probe, base: Path) -> None:
    probe.watcher.remove("unknown")
    probe.add("host", base / "host/wsgi")
    probe.add("same", base / "host/wsgi")
    probe.remove("host")
    before = probe.hints["host"], probe.changes["host"]
    probe.expect("same", lambda: swap(base / "host", ".builds/host/2"))
    probe.expect("same", lambda: (base / "host/wsgi/app.py").write_text("app = 2\n"))
    assert (probe.hints["host"], probe.changes["host"]) == before
    probe.remove("same")
    probe.expect_nothing(lambda: swap(base / "host", ".builds/host/1"))


def test_stop_twice_and_verbs_after_it(probe: Probe, base: Path) -> None:
    probe.watcher.stop()
    probe.watcher.stop()
    threads = threading.active_count()
    probe.watcher.arm("host", Target(str(base / "host/wsgi")))
    probe.watcher.start()
    assert "host" not in probe.watcher.polled()
    probe.watcher.remove("host")
    assert threading.active_count() == threads
