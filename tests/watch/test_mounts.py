"""Real mounts: over a path, taken away, and FUSE. Needs root, util-linux and bindfs."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.watch.filesystem import foreign, mounts
from tests.support.waiting import DEADLINE, wait
from tests.watch.conftest import Opened
from tests.watch.probe import Probe, next_tick, release

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")

Mount = Callable[..., None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mount something; what is left is unmounted at the end."""
    points: list[Path] = []

    def mount(point: Path, *command: str) -> None:
        subprocess.run([*command, str(point)], check=True)
        points.append(point)

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], check=False, stderr=subprocess.DEVNULL)


def _umount(point: Path) -> None:
    subprocess.run(["umount", point], check=True)


TMPFS = ("mount", "-t", "tmpfs", "none")


@pytest.mark.parametrize("over", ["base", "base/host", "base/host/wsgi", "base/host/wsgi/package"])
def test_mounted_over_and_unmounted(probe: Probe, tmp_path: Path, mount: Mount, over: str) -> None:
    wsgi = release(tmp_path / "base/host")
    code = wsgi / "package/x.py"
    probe.add("host", wsgi)
    probe.expect("host", lambda: mount(tmp_path / over, *TMPFS))
    probe.expect("host", lambda: code.parent.mkdir(parents=True, exist_ok=True) or _write(code, 1))
    probe.expect("host", lambda: _write(code, 22))
    probe.expect("host", lambda: _umount(tmp_path / over))
    probe.expect("host", lambda: _write(code, 333))


def _write(path: Path, number: int) -> None:
    path.write_text(f"x = {number}\n")


def test_a_mount_elsewhere_is_nothing(probe: Probe, tmp_path: Path, mount: Mount) -> None:
    wsgi = release(tmp_path / "base/host")
    (wsgi / "node_modules").mkdir()
    (tmp_path / "base/other").mkdir()
    probe.add("host", wsgi)
    probe.expect_nothing(lambda: mount(tmp_path / "base/other", *TMPFS))
    probe.expect_nothing(lambda: mount(wsgi / "node_modules", *TMPFS))


def test_one_directory_by_two_paths(probe: Probe, tmp_path: Path, mount: Mount) -> None:
    wsgi = release(tmp_path / "one/host")
    (tmp_path / "two").mkdir()
    mount(tmp_path / "two", "mount", "--bind", str(tmp_path / "one"))
    probe.add("one", wsgi)
    probe.add("two", tmp_path / "two/host/wsgi")
    for key in ("one", "two"):
        probe.expect(key, lambda: (wsgi / "package/x.py").write_text(os.urandom(9).hex()))
    probe.expect("two", lambda: mount(tmp_path / "two/host", *TMPFS))
    probe.expect("one", lambda: (wsgi / "package/x.py").write_text(os.urandom(9).hex()))


def test_mounts(tmp_path: Path, mount: Mount) -> None:
    point = tmp_path / "a mount\\point"
    point.mkdir()
    before = mounts()
    mount(point, *TMPFS)
    assert {path for _, path in mounts() - before} == {str(point)}


@pytest.fixture
def bindfs(tmp_path: Path, mount: Mount) -> Path:
    """A FUSE mount at tmp_path/fuse, of tmp_path/elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "fuse").mkdir()
    mount(tmp_path / "fuse", "bindfs", str(tmp_path / "elsewhere"))
    return tmp_path / "fuse"


def test_foreign(tmp_path: Path, bindfs: Path) -> None:
    assert foreign(str(bindfs)) == "FUSE"
    assert foreign(str(tmp_path)) is None
    assert foreign(str(tmp_path / "missing")) is None


def test_a_change_behind_a_fuse_mount(
    opened: Opened,
    tmp_path: Path,
    bindfs: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    behind = release(tmp_path / "elsewhere/host")
    with caplog.at_level(logging.WARNING):
        probe = opened()
        (tmp_path / "host").symlink_to("fuse/host")
        probe.add("host", tmp_path / "host/wsgi")
        probe.add("same", bindfs / "host/wsgi")
        probe.add("new", bindfs / "new/wsgi", tree=False)
    assert [record.getMessage()[:6] for record in caplog.records] == ["VAN022"]
    for key in ("host", "same"):
        probe.expect(key, lambda: (behind / "package/x.py").write_text(os.urandom(9).hex()))
    probe.expect("new", lambda: release(tmp_path / "elsewhere/new"))


def test_a_fuse_mount_over_what_inotify_watched(
    opened: Opened, tmp_path: Path, bindfs: Path, mount: Mount
) -> None:
    wsgi = release(tmp_path / "base/host")
    behind = release(tmp_path / "elsewhere/host")
    probe = opened()
    probe.add("host", wsgi)
    # FUSE 2 mounts over an empty directory alone; its option for more is unknown to FUSE 3.
    probe.expect("host", lambda: mount(tmp_path / "base", "mount", "--bind", str(bindfs)))
    probe.expect("host", lambda: (behind / "package/x.py").write_text("x = 1\n"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process behind a FUSE mount at tmp_path/fuse, of tmp_path/elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    point = tmp_path / "fuse"
    point.mkdir()
    with subprocess.Popen(["bindfs", "-f", str(tmp_path / "elsewhere"), str(point)]) as process:
        try:
            wait(point.is_mount, "the mount")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            subprocess.run(["umount", "-l", point], check=True)
            process.wait(DEADLINE)


def test_a_file_server_that_does_not_answer(
    opened: Opened, tmp_path: Path, server: subprocess.Popen[bytes]
) -> None:
    """The sites elsewhere are watched on, new ones too, and its own once it answers again."""
    behind, near = release(tmp_path / "elsewhere/host"), release(tmp_path / "near")
    probe = opened()
    probe.add("far", tmp_path / "fuse/host/wsgi")
    probe.add("near", near)
    server.send_signal(signal.SIGSTOP)
    wait(lambda: probe.errands.absent(probe.sites_by_key["far"]), "a thread that hangs")
    far = probe.changes["far"]
    (behind / "package/x.py").write_text("x = 1\n")
    probe.add("new", release(tmp_path / "new"), settle=False)
    for key, path in {"near": near, "new": tmp_path / "new/wsgi"}.items():
        before = probe.changes[key]
        next_tick()
        (path / "package/x.py").write_text("x = 1\n")
        probe.wait_for_change(key, before)
    assert probe.changes["far"] == far
    server.send_signal(signal.SIGCONT)
    probe.wait_for_change("far", far)
    probe.expect("far", lambda: (behind / "package/x.py").write_text("x = 22\n"))
