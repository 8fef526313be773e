"""What only inotify has: overflow, watches, races while arming, descriptors."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch.arming import MOST
from mod_wsgi_van.watch.inotify import InotifyWatcher
from mod_wsgi_van.watch.kernel import Event, Inotify
from tests.support.links import swap
from tests.watch.conftest import no_inotify
from tests.watch.probe import Probe, Reports, release

Opened = Callable[[Callable[[Reports], InotifyWatcher]], Probe]


def _watcher(make: Callable[[], Inotify]) -> Callable[[Reports], InotifyWatcher]:
    return lambda stale: InotifyWatcher(stale, ignore=Ignore(), make=make)


class Held(Inotify):
    """The reader waits until it is let go: as in a process that is stopped or starved."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.reading.set()

    def read(self) -> list[Event]:
        self.reading.wait()
        return super().read()


class Interfered(Inotify):
    """Something happens right before or after each watch is added."""

    before: Callable[[str], None] = staticmethod(lambda directory: None)
    after: Callable[[str], None] = staticmethod(lambda directory: None)

    def add(self, directory: str) -> int:
        self.before(directory)
        wd = super().add(directory)
        self.after(directory)
        return wd


def _watched(watcher: InotifyWatcher) -> int:
    """How many watches the kernel has for this process's inotify descriptors."""
    total = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            text = Path(f"/proc/self/fdinfo/{name}").read_text()
        except OSError:
            continue
        total += text.count("inotify wd:")
    return total


def test_overflow(opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made: list[Held] = []
    probe = opened(_watcher(lambda: made.append(Held()) or made[-1]))
    for number in range(5):
        release(tmp_path / f"base/.builds/{number}")
        (tmp_path / f"base/host{number}").symlink_to(f".builds/{number}")
        probe.add(f"host{number}", tmp_path / f"base/host{number}/wsgi")
    release(tmp_path / "base/.builds/new")
    before = dict(probe.reports.counts)
    made[0].reading.clear()
    noisy = [tmp_path / "base/host0/wsgi/app.py", tmp_path / "base/host1/wsgi/app.py"]
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit // 2 + 100):  # two by turns: equal events in a row are made one
        os.utime(noisy[0])
        os.utime(noisy[1])
    for number in range(4):
        swap(tmp_path / f"base/host{number}", ".builds/new")
    (tmp_path / "base/.builds/4/wsgi/app.py").write_text("app = 2\n")
    with caplog.at_level(logging.WARNING):
        made[0].reading.set()
        for number in range(5):
            assert probe.reports.wait(f"host{number}", before[f"host{number}"])
        probe.settle()
    assert caplog.text.count("VAN021") == 1
    everyone = [f"host{number}" for number in range(4)]
    counts = dict(probe.reports.counts)
    (tmp_path / "base/.builds/new/wsgi/app.py").write_text("app = 2\n")
    assert all(probe.reports.wait(key, counts[key]) for key in everyone)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_swap_at_any_moment_of_arming(opened: Opened, tmp_path: Path, moment: str) -> None:
    made: list[Interfered] = []
    probe = opened(_watcher(lambda: made.append(Interfered()) or made[-1]))
    probe.watcher.remove("sentinel")
    base = tmp_path / "base"
    release(base / ".builds/host/1/src")
    release(base / ".builds/host/2/src")
    for number in (1, 2):
        (base / f".builds/host/{number}/wsgi").symlink_to("src/wsgi")
    (base / "host").symlink_to(".builds/host/1")
    turns = 1
    while _interfered(probe, made[0], moment, turns, base):
        turns += 1
    assert turns > 8


def _interfered(probe: Probe, kernel: Interfered, moment: str, turn: int, base: Path) -> bool:
    """Swap at the ``turn``-th watch that is added; False when fewer are."""
    release = f".builds/host/{2 if turn % 2 else 1}"
    added = 0

    def interfere(directory: str) -> None:
        nonlocal added
        added += 1
        if added == turn:
            swap(base / "host", release)

    key = f"host{turn}"
    setattr(kernel, moment, interfere)
    probe.watcher.add(key, Target(str(base / "host/wsgi")))
    setattr(kernel, moment, lambda directory: None)
    if added < turn:
        return False
    assert probe.reports.wait(key, 0)
    assert _edit_seen(probe, key, base / release / "src/wsgi/app.py")
    probe.watcher.remove(key)
    return True


def _edit_seen(probe: Probe, key: str, path: Path) -> bool:
    count = probe.reports.counts[key]
    path.write_text("app = 2\n")
    return probe.reports.wait(key, count)


def test_a_package_made_while_its_tree_is_armed(opened: Opened, tmp_path: Path) -> None:
    made: list[Interfered] = []
    probe = opened(_watcher(lambda: made.append(Interfered()) or made[-1]))
    wsgi = release(tmp_path / "host")
    for moment in ("before", "after"):
        package = wsgi / moment

        def interfere(directory: str, package: Path = package) -> None:
            if directory == str(wsgi):
                package.mkdir(exist_ok=True)

        setattr(made[0], moment, interfere)
        probe.add(moment, wsgi)
        setattr(made[0], moment, lambda directory: None)
        probe.expect(moment, lambda package=package: (package / "x.py").write_text("x = 1\n"))


def test_neither_environments_nor_ignored_directories_are_walked(
    opened: Opened, tmp_path: Path
) -> None:
    seen: list[str] = []
    made: list[Interfered] = []
    probe = opened(_watcher(lambda: made.append(Interfered()) or made[-1]))
    made[0].before = seen.append
    wsgi = release(tmp_path / "host")
    for name in (".venv", "node_modules", ".git", "__pycache__"):
        (wsgi / name / "deep").mkdir(parents=True)
        (tmp_path / "host" / name / "deep").mkdir(parents=True)
    probe.add("host", wsgi)
    inside = {path for path in seen if path.startswith(str(tmp_path / "host"))}
    assert inside == {str(tmp_path / "host"), str(wsgi), str(wsgi / "package")}


def test_watches_are_shared_and_given_back(opened: Opened, tmp_path: Path) -> None:
    probe = opened(_watcher(Inotify))
    wsgi = release(tmp_path / "base/host")
    start = _watched(probe.watcher)
    probe.add("host", wsgi)
    assert _watched(probe.watcher) == start + 4  # base, host, wsgi, wsgi/package
    probe.add("same", wsgi)
    for number in range(100):
        probe.watcher.add(f"unknown{number}", Target(f"{tmp_path}/base/{number}/wsgi", tree=False))
    assert _watched(probe.watcher) == start + 4
    probe.watcher.remove("same")
    probe.watcher.remove("host")
    assert _watched(probe.watcher) == start + 1  # the unknown ones wait for their names in base
    for number in range(100):
        probe.watcher.remove(f"unknown{number}")
    assert _watched(probe.watcher) == start


def test_swaps_leave_no_watches_behind(opened: Opened, tmp_path: Path) -> None:
    probe = opened(_watcher(Inotify))
    for number in (1, 2):
        release(tmp_path / f"base/.builds/{number}")
    (tmp_path / "base/host").symlink_to(".builds/1")
    probe.add("host", tmp_path / "base/host/wsgi")
    start = _watched(probe.watcher)
    for turn in range(20):
        probe.expect("host", lambda t=turn: swap(tmp_path / "base/host", f".builds/{t % 2 + 1}"))
    assert _watched(probe.watcher) == start


def test_directories_that_come_and_go_leave_nothing_behind(opened: Opened, tmp_path: Path) -> None:
    probe = opened(_watcher(Inotify))
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    start = _watched(probe.watcher)
    size = len(probe.watcher._keys["host"].claims)
    for turn in range(20):
        probe.expect("host", (wsgi / f"new{turn}").mkdir)
        probe.expect("host", (wsgi / f"new{turn}").rmdir)
    assert _watched(probe.watcher) == start
    assert len(probe.watcher._keys["host"].claims) <= size + 1


def test_a_tree_without_end(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wsgi = release(tmp_path / "host")
    for number in range(MOST):
        (wsgi / f"media{number}").mkdir()
    probe = opened(_watcher(Inotify))
    with caplog.at_level(logging.WARNING):
        probe.add("host", wsgi)
    assert "VAN026" in caplog.text
    assert "watch_ignore" in caplog.text
    probe.expect("host", lambda: (wsgi / "app.py").write_text("app = 2\n"))


def test_the_descriptors_are_not_inherited(opened: Opened) -> None:
    opened(_watcher(Inotify))
    listing = subprocess.run(
        [sys.executable, "-c", "import os; print([os.readlink(f'/proc/self/fd/{n}')"
         " for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])"],
        close_fds=False, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "inotify" not in listing
    assert "eventfd" not in listing


def test_two_threads_and_one_instance(opened: Opened, tmp_path: Path) -> None:
    threads = threading.active_count()
    probe = opened(_watcher(Inotify))
    for number in range(50):
        probe.watcher.add(f"host{number}", Target(str(release(tmp_path / f"base/host{number}"))))
    assert threading.active_count() == threads + 2
    links = [os.readlink(f"/proc/self/fd/{name}") for name in _descriptors()]
    assert sum("inotify" in link for link in links) == 1


def _descriptors() -> list[str]:
    return [name for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")]


def test_it_insists(tmp_path: Path) -> None:
    watcher = _watcher(no_inotify)(Reports())
    with pytest.raises(WatchError, match=r"VAN023.*no inotify"):
        watcher.start()
    watcher.stop()


def test_it_goes_on_without_what_is_refused(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full = tmp_path / "host/wsgi/package"

    def refuse(directory: str) -> None:
        if directory == str(full):
            raise OSError(errno.ENOSPC, "No space left on device")

    made: list[Interfered] = []
    probe = opened(_watcher(lambda: made.append(Interfered()) or made[-1]))
    made[0].before = refuse
    wsgi = release(tmp_path / "host")
    with caplog.at_level(logging.WARNING):
        probe.add("host", wsgi)
        probe.add("again", wsgi)
    assert caplog.text.count("VAN020") == 1
    assert "max_user_watches" in caplog.text
    probe.expect("host", lambda: (wsgi / "app.py").write_text("app = 2\n"))


def test_add_before_start(tmp_path: Path) -> None:
    wsgi = release(tmp_path / "host")
    reports = Reports()
    watcher = _watcher(Inotify)(reports)
    watcher.add("host", Target(str(wsgi)))
    watcher.start()
    try:
        assert reports.wait("host", 0)  # armed by now
        count = reports.counts["host"]
        (wsgi / "package/x.py").write_text("x = 1\n")
        assert reports.wait("host", count)
    finally:
        watcher.stop()


def test_stop_before_start() -> None:
    watcher = _watcher(Inotify)(Reports())
    watcher.stop()
    watcher.start()
    assert not watcher.knows("host")
