"""What is moved to polling, why, and what the log says."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.files import version
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version
from mod_wsgi_van.watch import Watcher, open_watcher
from mod_wsgi_van.watch.auto import Auto
from mod_wsgi_van.watch.filesystem import foreign
from mod_wsgi_van.watch.kernel import Inotify
from tests.support.links import swap
from tests.watch.conftest import INTERVAL, no_inotify
from tests.watch.probe import Probe, Reports, release

Opened = Callable[[Callable[[Reports], Watcher]], Probe]


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


def _auto(reports: Reports, **further: object) -> Auto:
    settings = {"ignore": Ignore(), "update_interval": INTERVAL, **further}
    return Auto(reports, **settings)  # type: ignore[arg-type]


def _polled(watcher: Watcher, key: str) -> bool:
    assert isinstance(watcher, Auto)
    return watcher.polled(key)


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
        probe = opened(lambda reports: _auto(reports, make=limits))
        first = release(tmp_path / "base/first")
        probe.add("first", first)
        limits.last.room, limits.last.number = 0, number
        late = [release(tmp_path / f"base/late{n}") for n in range(3)]
        for n, wsgi in enumerate(late):
            probe.add(f"late{n}", wsgi)
            assert _polled(probe.watcher, f"late{n}")
    assert not _polled(probe.watcher, "first")
    assert len(caplog.records) == 1
    assert code in caplog.text
    assert remedy in caplog.text
    probe.expect("first", lambda: (first / "package/x.py").write_text("x = 1\n"))
    for n, wsgi in enumerate(late):
        probe.expect(f"late{n}", lambda w=wsgi: (w / "package/x.py").write_text("x = 1\n"))

    limits.last.room = 10_000
    probe.add("room", release(tmp_path / "base/room"))
    assert not _polled(probe.watcher, "room")


def test_no_watch_for_the_new_release(opened: Opened, tmp_path: Path) -> None:
    limits = Limits()
    probe = opened(lambda reports: _auto(reports, make=limits))
    release(tmp_path / "base/.builds/1")
    (tmp_path / "base/host").symlink_to(".builds/1")
    wsgi = tmp_path / "base/host/wsgi"
    probe.add("host", wsgi)
    assert not _polled(probe.watcher, "host")
    limits.last.room = 0
    release(tmp_path / "base/.builds/2")
    probe.expect("host", lambda: swap(tmp_path / "base/host", ".builds/2"))
    assert _polled(probe.watcher, "host")
    probe.expect("host", lambda: (wsgi / "package/x.py").write_text("x = 1\n"))


def test_no_watch_for_a_new_package(opened: Opened, tmp_path: Path) -> None:
    limits = Limits()
    probe = opened(lambda reports: _auto(reports, make=limits))
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    limits.last.room = 0
    probe.expect("host", lambda: (wsgi / "new").mkdir())
    assert _polled(probe.watcher, "host")
    probe.expect("host", lambda: (wsgi / "new/x.py").write_text("x = 1\n"))


def test_no_instance_and_back(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits()
    limits.available = False
    with caplog.at_level(logging.WARNING):
        probe = opened(lambda reports: _auto(reports, make=limits, retry=0.0))
        wsgi = release(tmp_path / "host")
        probe.add("host", wsgi)
    assert [record.getMessage()[:6] for record in caplog.records] == ["VAN020"]
    assert "fs.inotify.max_user_instances" in caplog.text
    probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 1\n"))
    limits.available = True
    probe.add("new", wsgi)
    assert not _polled(probe.watcher, "new")
    assert _polled(probe.watcher, "host")
    probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 22\n"))
    assert probe.reports.wait("new", 0)


def test_added_before_a_start_that_fails(tmp_path: Path) -> None:
    wsgi = release(tmp_path / "host")
    reports = Reports()
    watcher = _auto(reports, make=no_inotify)
    watcher.add("host", Target(str(wsgi)))
    watcher.start()
    try:
        assert watcher.polled("host")
        count = reports.counts["host"]
        swap(wsgi / "app.py", "../other.py")
        assert reports.wait("host", count)
    finally:
        watcher.stop()


def test_no_inotify_in_this_system(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        probe = opened(lambda reports: _auto(reports, make=no_inotify))
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
        probe = opened(lambda reports: _auto(reports, foreign=on_nfs))
        probe.add("local", local)
        probe.add("one", remote / "one/wsgi")
        probe.add("two", tmp_path / "two/wsgi")
    assert [_polled(probe.watcher, key) for key in ("local", "one", "two")] == [False, True, True]
    assert [record.getMessage()[:6] for record in caplog.records] == ["VAN022"]
    for key in ("one", "two"):
        probe.expect(key, lambda: (remote / "one/wsgi/app.py").write_text(f"{os.urandom(4)!r}"))
    probe.watcher.remove("two")
    probe.watcher.remove("one")
    probe.expect_nothing(lambda: (remote / "one/wsgi/app.py").write_text("gone"))


def test_it_is_said_once_which_watcher_is_used(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        opened(lambda reports: _auto(reports))
    assert [record.getMessage() for record in caplog.records] == ["watching with inotify"]


@pytest.mark.parametrize(
    ("setting", "variable", "name"),
    [
        ("auto", None, "auto"),
        ("inotify", None, "inotify"),
        ("polling", None, "polling"),
        ("auto", "polling", "polling"),
        ("inotify", "polling", "polling"),
        ("polling", "auto", "auto"),
        ("polling", "", "polling"),
    ],
)
def test_open_watcher(
    monkeypatch: pytest.MonkeyPatch, setting: str, variable: str | None, name: str
) -> None:
    monkeypatch.delenv("MOD_WSGI_VAN_WATCH", raising=False)
    if variable is not None:
        monkeypatch.setenv("MOD_WSGI_VAN_WATCH", variable)
    watcher = open_watcher(setting, Reports(), ignore=Ignore(), update_interval=1.0)
    assert watcher.name == name  # type: ignore[attr-defined]


@pytest.mark.parametrize(("setting", "variable"), [("kqueue", ""), ("auto", "kqueue")])
def test_open_watcher_refuses(monkeypatch: pytest.MonkeyPatch, setting: str, variable: str) -> None:
    monkeypatch.setenv("MOD_WSGI_VAN_WATCH", variable)
    with pytest.raises(ValueError, match="auto, inotify, polling"):
        open_watcher(setting, Reports(), ignore=Ignore(), update_interval=1.0)


def test_polling_never_touches_inotify(tmp_path: Path) -> None:
    watcher = open_watcher("polling", Reports(), ignore=Ignore(), update_interval=INTERVAL)
    watcher.start()
    watcher.add("host", Target(str(release(tmp_path / "host"))))
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    watcher.stop()
    assert not any("inotify" in link for link in links)


def test_a_key_that_is_slow_to_measure_delays_no_other(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, go, begun = tmp_path / "remote", threading.Event(), threading.Event()
    real = version.measure
    waited: list[bool] = []

    def measure(target: Target, ignore: Ignore) -> Version:
        if Path(target.path).is_relative_to(remote):
            begun.set()
            waited.append(go.wait(20))
        return real(target, ignore)

    monkeypatch.setattr(version, "measure", measure)
    probe = opened(
        lambda reports: _auto(
            reports,
            foreign=lambda path: "NFS" if Path(path).is_relative_to(remote) else foreign(path),
        )
    )
    far = release(remote)
    slow = threading.Thread(target=probe.watcher.add, args=("far", Target(str(far))))
    gone = threading.Thread(target=probe.watcher.add, args=("gone", Target(str(far))))
    slow.start()
    gone.start()
    assert begun.wait(20)
    near = release(tmp_path / "near")
    try:
        probe.add("near", near)
        probe.expect("near", lambda: (near / "package/x.py").write_text("x = 1\n"))
        probe.watcher.remove("gone")
    finally:
        go.set()
    slow.join()
    gone.join()
    assert all(waited), "something waited for the slow one"
    assert _polled(probe.watcher, "far")
    assert not _polled(probe.watcher, "gone")
    probe.expect("far", lambda: (far / "package/x.py").write_text("x = 1\n"))
