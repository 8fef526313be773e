"""The real limits of the system, each in a forked child so that nobody else meets them."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

import pytest

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import Watcher
from tests.support.children import in_child, without_privileges
from tests.support.links import swap
from tests.support.log import listening
from tests.watch.probe import INTERVAL, Probe, release

CLONE_NEWUSER = 0x10000000


def _refused(match: str) -> None:
    watcher = Watcher(str, setting="inotify", ignore=Ignore(), update_interval=INTERVAL)
    with pytest.raises(WatchError, match=match):
        watcher.start()


def test_no_more_descriptors(open_path: Path) -> None:
    wsgi = release(open_path / "host")

    def test() -> None:
        lines, probe = listening(), Probe(open_path / "sentinel", retry=0.0)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare[-1] + 1, hard))
        _refused(r"VAN020.*max_user_instances")
        probe.watcher.start()
        for descriptor in spare:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert len(lines.lines) == 1
        probe.start()
        probe.add("host", wsgi)
        assert not probe.polled("host")
        probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 1\n"))
        probe.stop()

    in_child(test)


def test_one_descriptor_is_left(open_path: Path) -> None:
    """The first is to be had, the next is not: it is given back."""

    def test() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        _refused("VAN020")
        assert os.dup(0) == free

    in_child(test)


def test_no_more_threads(open_path: Path) -> None:
    wsgi = release(open_path / "host")
    for path in (wsgi, wsgi / "app.py"):
        path.chmod(0o777)
    open_path.chmod(0o777)

    def test() -> None:
        without_privileges()
        lines, probe = listening(), Probe(open_path / "sentinel", retry=0.0)
        opened = set(os.listdir("/proc/self/fd"))
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        _refused(r"VAN020.*thread")
        probe.watcher.start()
        probe.watcher.arm("early", Target(str(wsgi)))
        assert probe.watcher.polled() == {"early"}
        assert set(os.listdir("/proc/self/fd")) == opened
        assert len(lines.lines) == 1, lines.lines
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        probe.watcher.remove("early")
        probe.start()
        for key in ("host", "other"):
            probe.add(key, wsgi)
        assert not probe.watcher.polled()
        for key in ("host", "other"):
            probe.expect(key, lambda: (wsgi / "app.py").write_text(os.urandom(9).hex()))
        probe.stop()

    in_child(test)


def test_no_more_watches(open_path: Path) -> None:
    release(open_path / ".builds/1")
    release(open_path / ".builds/2")
    for name in ("first", "late"):
        (open_path / name).symlink_to(".builds/1")

    def test() -> None:
        uid = os.geteuid()
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWUSER) == 0, os.strerror(ctypes.get_errno())
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        lines, probe = listening(), Probe(open_path / "sentinel")
        probe.start()
        probe.add("first", open_path / "first/wsgi")
        Path("/proc/sys/user/max_inotify_watches").write_text("0")
        probe.add("unknown", open_path / "unknown/wsgi")
        assert not probe.polled("unknown")  # nothing new to watch
        probe.expect("first", lambda: swap(open_path / "first", ".builds/2"))
        assert probe.polled("first")
        probe.add("late", open_path / "late/wsgi")
        assert len(lines.lines) == 1, lines.lines
        assert "max_user_watches" in lines.lines[0]
        probe.expect("first", lambda: swap(open_path / "first", ".builds/1"))
        probe.expect("late", lambda: swap(open_path / "late", ".builds/2"))
        Path("/proc/sys/user/max_inotify_watches").write_text("1000")
        probe.add("new", open_path / "first/wsgi")
        assert not probe.polled("new")
        probe.stop()

    in_child(test)


def test_a_directory_that_may_not_be_read(open_path: Path) -> None:
    release(open_path / "open")
    wsgi = release(open_path / "closed")
    (open_path / "closed").chmod(0o711)
    open_path.chmod(0o777)
    for name in ("open", "closed"):
        (open_path / name / "wsgi").chmod(0o777)

    def test() -> None:
        without_privileges()
        lines, probe = listening(), Probe(open_path / "sentinel")
        probe.start()
        for name in ("open", "closed"):
            probe.add(name, open_path / name / "wsgi")
        assert (probe.polled("open"), probe.polled("closed")) == (False, True)
        assert [line[:6] for line in lines.lines] == ["VAN025"]
        for name in ("open", "closed"):
            probe.expect(name, lambda n=name: (open_path / n / "wsgi/new.py").write_text("x = 1\n"))
        probe.stop()

    assert wsgi.is_dir()
    if os.geteuid() != 0:
        (open_path / "closed").chmod(0o311)
    in_child(test)
    (open_path / "closed").chmod(0o755)
