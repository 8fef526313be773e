"""What is moved to polling, why, and what the log says."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.watch.filesystem import foreign
from mod_wsgi_van.watch.kernel import Inotify
from tests.support.descriptors import descriptors
from tests.support.links import swap
from tests.watch.conftest import Opened, no_inotify
from tests.watch.probe import INTERVAL, release


class Limited(Inotify):
    """Has room for so many watches, as another process would leave it."""

    room = 10_000
    number = errno.ENOSPC

    def __init__(self) -> None:
        super().__init__()
        self._wds: set[int] = set()

    def add(self, directory: str) -> int:
        wd = super().add(directory)
        if wd not in self._wds and len(self._wds) >= self.room:
            super().remove(wd)
            raise OSError(self.number, os.strerror(self.number), directory)
        self._wds.add(wd)
        return wd

    def remove(self, wd: int) -> None:
        self._wds.discard(wd)
        super().remove(wd)


class Limits:
    """Makes Limited instances; the last one made can be changed."""

    def __init__(self) -> None:
        self.made: list[Inotify] = []
        self.available = True

    def __call__(self) -> Inotify:
        if not self.available:
            raise OSError(errno.EMFILE, "Too many open files")
        self.made.append(Limited())
        return self.made[-1]

    @property
    def last(self) -> Limited:
        assert isinstance(self.made[-1], Limited)
        return self.made[-1]


@pytest.mark.parametrize(
    ("number", "code", "remedy"),
    [
        (errno.ENOSPC, "VAN020", "fs.inotify.max_user_watches"),
        (errno.ENOMEM, "VAN020", "Cannot allocate memory"),
        (errno.EACCES, "VAN025", "read permission"),
    ],
)
def test_no_watch_midway(
    opened: Opened,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    number: int,
    code: str,
    remedy: str,
) -> None:
    limits = Limits()
    with caplog.at_level(logging.WARNING):
        probe = opened(make=limits)
        first = release(tmp_path / "base/first")
        probe.add("first", first)
        limits.last.room, limits.last.number = 0, number
        late = [release(tmp_path / f"base/late{n}") for n in range(3)]
        for n, wsgi in enumerate(late):
            probe.add(f"late{n}", wsgi)
            assert probe.polled(f"late{n}")
    assert not probe.polled("first")
    assert len(caplog.records) == 1
    assert code in caplog.text
    assert remedy in caplog.text
    probe.expect("first", lambda: (first / "package/x.py").write_text("x = 1\n"))
    for n, wsgi in enumerate(late):
        probe.expect(f"late{n}", lambda w=wsgi: (w / "package/x.py").write_text("x = 1\n"))

    limits.last.room = 10_000
    probe.add("room", release(tmp_path / "base/room"))
    assert not probe.polled("room")


def test_no_watch_for_the_new_release(opened: Opened, tmp_path: Path) -> None:
    limits = Limits()
    probe = opened(make=limits)
    release(tmp_path / "base/.builds/1")
    (tmp_path / "base/host").symlink_to(".builds/1")
    wsgi = tmp_path / "base/host/wsgi"
    probe.add("host", wsgi)
    assert not probe.polled("host")
    limits.last.room = 0
    release(tmp_path / "base/.builds/2")
    probe.expect("host", lambda: swap(tmp_path / "base/host", ".builds/2"))
    assert probe.polled("host")
    probe.expect("host", lambda: (wsgi / "package/x.py").write_text("x = 1\n"))


def test_no_watch_for_a_new_package(opened: Opened, tmp_path: Path) -> None:
    limits = Limits()
    probe = opened(make=limits)
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    limits.last.room = 0
    probe.expect("host", lambda: (wsgi / "new").mkdir())
    assert probe.polled("host")
    probe.expect("host", lambda: (wsgi / "new/x.py").write_text("x = 1\n"))


def test_too_many_directories_and_back(opened: Opened, tmp_path: Path) -> None:
    probe = opened(most=20)
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    many = [wsgi / f"package/new{number}" for number in range(30)]
    probe.expect("host", lambda: [each.mkdir() for each in many])
    assert probe.polled("host")
    probe.expect("host", lambda: (many[-1] / "x.py").write_text("x = 1\n"))
    probe.expect("host", lambda: shutil.rmtree(wsgi / "package"))
    assert not probe.polled("host")
    probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 1\n"))


def test_the_trees_of_a_target_have_one_count_together(opened: Opened, tmp_path: Path) -> None:
    probe = opened(most=20)
    wsgi = release(tmp_path / "host")
    one, two = tmp_path / "one", tmp_path / "two"
    for number in range(12):
        (one / str(number)).mkdir(parents=True)
        (two / str(number)).mkdir(parents=True)
    probe.add("twice", wsgi, trees=(str(one), f"{one}/", f"{one}//"))
    assert not probe.polled("twice")
    probe.add("both", wsgi, trees=(str(one), str(two)))
    assert probe.polled("both")


def test_no_instance_and_back(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits()
    limits.available = False
    with caplog.at_level(logging.WARNING):
        probe = opened(make=limits, retry=0.0)
        wsgi = release(tmp_path / "host")
        probe.add("host", wsgi)
    assert [record.getMessage()[:6] for record in caplog.records] == ["VAN020"]
    assert "fs.inotify.max_user_instances" in caplog.text
    probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 1\n"))
    assert probe.polled("host")
    limits.available = True
    probe.add("new", wsgi)  # asks again
    assert not probe.watcher.polled()
    assert len(limits.made) == 1
    for key in ("host", "new"):
        probe.expect(key, lambda: (wsgi / "app.py").write_text(os.urandom(9).hex()))


def test_it_is_not_asked_for_all_the_time(opened: Opened, tmp_path: Path) -> None:
    asked = 0

    def refuse() -> Inotify:
        nonlocal asked
        asked += 1
        raise OSError(errno.EMFILE, "Too many open files")

    probe = opened(make=refuse)
    probe.add("host", release(tmp_path / "host"))
    assert asked == 1


def test_no_inotify_in_this_system(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        probe = opened(make=no_inotify)
        wsgi = release(tmp_path / "host")
        probe.add("host", wsgi)
    assert len(caplog.records) == 1
    assert "VAN023" in caplog.text
    probe.expect("host", lambda: (wsgi / "package/x.py").write_text("x = 1\n"))


def test_by_type_of_file_system(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = tmp_path / "remote"
    release(remote / "one")
    local = release(tmp_path / "local")
    (tmp_path / "two").symlink_to(remote / "one")

    def on_nfs(directory: str) -> str | None:
        return "NFS" if Path(directory).is_relative_to(remote) else foreign(directory)

    with caplog.at_level(logging.WARNING):
        probe = opened(foreign=on_nfs)
        probe.add("local", local)
        probe.add("one", remote / "one/wsgi")
        probe.add("two", tmp_path / "two/wsgi")
    assert [probe.polled(key) for key in ("local", "one", "two")] == [False, True, True]
    assert [record.getMessage()[:6] for record in caplog.records] == ["VAN022"]
    for key in ("one", "two"):
        probe.expect(key, lambda: (remote / "one/wsgi/app.py").write_text(f"{os.urandom(4)!r}"))
    probe.remove("two")
    probe.remove("one")
    probe.expect_nothing(lambda: (remote / "one/wsgi/app.py").write_text("gone"))


def test_it_is_said_once_which_watcher_is_used(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        opened()
    assert [record.getMessage() for record in caplog.records] == ["watching with inotify"]


def test_a_polled_key_has_events_of_its_local_hops(opened: Opened, tmp_path: Path) -> None:
    for number in (1, 2):
        release(tmp_path / f"remote/{number}")
    (tmp_path / "base").mkdir()
    (tmp_path / "base/host").symlink_to("../remote/1")

    def on_nfs(directory: str) -> str | None:
        return "NFS" if Path(directory).is_relative_to(tmp_path / "remote") else None

    probe = opened(foreign=on_nfs, interval=60.0)
    probe.add("host", tmp_path / "base/host/wsgi")
    assert probe.polled("host")
    hints = probe.hints["host"]
    probe.expect("host", lambda: swap(tmp_path / "base/host", "../remote/2"))
    assert probe.hints["host"] > hints
    assert probe.polled("host")
    release(tmp_path / "local")
    probe.expect("host", lambda: swap(tmp_path / "base/host", "../local"))
    assert not probe.polled("host")


@pytest.mark.parametrize(
    ("setting", "variable", "inotify"),
    [
        ("auto", None, True),
        ("inotify", None, True),
        ("polling", None, False),
        ("auto", "polling", False),
        ("inotify", "polling", False),
        ("polling", "auto", True),
        ("polling", "", False),
    ],
)
def test_the_setting_and_the_variable(
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    setting: str,
    variable: str | None,
    inotify: bool,
) -> None:
    monkeypatch.delenv("MOD_WSGI_VAN_WATCH", raising=False)
    if variable is not None:
        monkeypatch.setenv("MOD_WSGI_VAN_WATCH", variable)
    probe = opened(setting=setting)
    probe.add("host", release(tmp_path / "host"))
    assert probe.polled("host") is not inotify
    assert any("inotify" in target for target in descriptors().values()) is inotify


@pytest.mark.parametrize(("setting", "variable"), [("kqueue", ""), ("auto", "kqueue")])
def test_an_unknown_setting(monkeypatch: pytest.MonkeyPatch, setting: str, variable: str) -> None:
    monkeypatch.setenv("MOD_WSGI_VAN_WATCH", variable)
    with pytest.raises(ValueError, match="auto, inotify, polling"):
        Watcher(str, setting=setting, ignore=Ignore(), update_interval=1.0)


def test_armed_after_the_end_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The descriptor is closed by then, which is no obstacle that an operator can remove."""
    stopped: list[Watcher] = []

    class Stopping(Inotify):
        def add(self, directory: str) -> int:
            stopped[0].stop()
            return super().add(directory)

    watcher = Watcher(str, ignore=Ignore(), update_interval=INTERVAL, make=Stopping)
    stopped.append(watcher)
    with caplog.at_level(logging.WARNING):
        watcher.start()
        watcher.arm("host", Target(str(release(tmp_path / "host"))))
    assert not caplog.records
