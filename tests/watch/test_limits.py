"""The real limits of the system, each in a forked child so that nobody else meets them."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch.auto import Auto
from mod_wsgi_van.watch.inotify import InotifyWatcher
from tests.support.children import in_child, without_privileges
from tests.support.links import swap
from tests.support.log import listening
from tests.support.places import new_directory
from tests.support.waiting import wait
from tests.watch.conftest import INTERVAL
from tests.watch.probe import Reports, release

CLONE_NEWUSER = 0x10000000


@pytest.fixture
def base() -> Iterator[Path]:
    """A base that everybody may enter, as tmp_path is not."""
    directory = new_directory()
    yield directory
    shutil.rmtree(directory)


def _auto(reports: Reports) -> Auto:
    return Auto(reports, ignore=Ignore(), update_interval=INTERVAL, retry=0.0)


def _seen(reports: Reports, key: str, change: Callable[[], object]) -> None:
    count = reports.counts[key]
    change()
    assert reports.wait(key, count), f"{key}: not reported"


def test_no_more_descriptors(base: Path) -> None:
    wsgi = release(base / "host")

    def test() -> None:
        lines, reports = listening(), Reports()
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare[-1] + 1, hard))
        with pytest.raises(WatchError, match=r"VAN020.*max_user_instances"):
            InotifyWatcher(reports, ignore=Ignore()).start()
        watcher = _auto(reports)
        watcher.start()
        for descriptor in spare:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert len(lines.lines) == 1
        watcher.add("host", Target(str(wsgi)))
        assert not watcher.polled("host")
        _seen(reports, "host", lambda: (wsgi / "app.py").write_text("x = 1\n"))
        watcher.stop()

    in_child(test)


def test_one_descriptor_is_left(base: Path) -> None:
    """The first is to be had, the next is not: it is given back."""

    def test() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        with pytest.raises(WatchError, match="VAN020"):
            InotifyWatcher(Reports(), ignore=Ignore()).start()
        assert os.dup(0) == free

    in_child(test)


def test_no_more_threads(base: Path) -> None:
    wsgi = release(base / "host")
    for path in (wsgi, wsgi / "app.py"):
        path.chmod(0o777)

    def test() -> None:
        without_privileges()
        lines, reports = listening(), Reports()
        descriptors = set(os.listdir("/proc/self/fd"))
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        with pytest.raises(WatchError, match=r"VAN020.*thread"):
            InotifyWatcher(reports, ignore=Ignore()).start()
        watcher = _auto(reports)
        watcher.start()
        watcher.add("host", Target(str(wsgi)))
        assert set(os.listdir("/proc/self/fd")) == descriptors
        assert len(lines.lines) == 2, lines.lines
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        watcher.add("other", Target(str(wsgi)))
        assert not watcher.polled("other")
        for key in ("host", "other"):
            _seen(reports, key, lambda: (wsgi / "app.py").write_text(os.urandom(9).hex()))
        watcher.stop()

    in_child(test)


def test_no_more_watches(base: Path) -> None:
    release(base / ".builds/1")
    release(base / ".builds/2")
    for name in ("first", "late"):
        (base / name).symlink_to(".builds/1")

    def test() -> None:
        uid = os.geteuid()
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWUSER) == 0, os.strerror(ctypes.get_errno())
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        lines, reports = listening(), Reports()
        watcher = _auto(reports)
        watcher.start()
        watcher.add("first", Target(f"{base}/first/wsgi"))
        Path("/proc/sys/user/max_inotify_watches").write_text("0")
        watcher.add("unknown", Target(f"{base}/unknown/wsgi", tree=False))
        assert not watcher.polled("unknown")  # nothing new to watch
        _seen(reports, "first", lambda: swap(base / "first", ".builds/2"))
        wait(lambda: watcher.polled("first"))
        watcher.add("late", Target(f"{base}/late/wsgi"))
        assert watcher.polled("late")
        assert len(lines.lines) == 1, lines.lines
        assert "max_user_watches" in lines.lines[0]
        for key in ("first", "late"):
            _seen(reports, key, lambda k=key: swap(base / k, f".builds/{1 if k == 'first' else 2}"))
        Path("/proc/sys/user/max_inotify_watches").write_text("1000")
        watcher.add("new", Target(f"{base}/first/wsgi"))
        assert not watcher.polled("new")
        watcher.stop()

    in_child(test)


def test_a_directory_that_may_not_be_read(base: Path) -> None:
    release(base / "open")
    wsgi = release(base / "closed")
    (base / "closed").chmod(0o711)
    for name in ("open", "closed"):
        (base / name / "wsgi").chmod(0o777)

    def test() -> None:
        without_privileges()
        lines, reports = listening(), Reports()
        watcher = _auto(reports)
        watcher.start()
        for name in ("open", "closed"):
            watcher.add(name, Target(f"{base}/{name}/wsgi"))
        assert (watcher.polled("open"), watcher.polled("closed")) == (False, True)
        assert [line[:6] for line in lines.lines] == ["VAN025"]
        for name in ("open", "closed"):
            _seen(reports, name, lambda n=name: (base / n / "wsgi/new.py").write_text("x = 1\n"))
        watcher.stop()

    assert wsgi.is_dir()
    if os.geteuid() != 0:
        (base / "closed").chmod(0o311)
    in_child(test)
    (base / "closed").chmod(0o755)
