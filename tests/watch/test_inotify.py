"""What only inotify has: overflow, watches, races while arming, descriptors."""

from __future__ import annotations

import errno
import logging
import os
import queue
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.errors import WatchError
from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.files.target import Target
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.watch.kernel import Event, Inotify
from tests.support.descriptors import descriptors, inotify_watches
from tests.support.links import swap
from tests.support.threads import in_threads
from tests.support.waiting import DEADLINE, wait
from tests.watch.conftest import Opened, no_inotify
from tests.watch.probe import INTERVAL, Probe, release


def _opened(opened: Opened, make: Callable[[], Inotify] = Inotify, **further: Any) -> Probe:
    return opened(setting="inotify", make=make, **further)


def _watcher(make: Callable[[], Inotify], stale: Callable[[str], None] = str) -> Watcher:
    return Watcher(stale, setting="inotify", ignore=Ignore(), update_interval=INTERVAL, make=make)


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


def test_overflow(opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made: list[Held] = []
    probe = _opened(opened, lambda: made.append(Held()) or made[-1])
    for number in range(5):
        release(tmp_path / f"base/.builds/{number}")
        (tmp_path / f"base/host{number}").symlink_to(f".builds/{number}")
        probe.add(f"host{number}", tmp_path / f"base/host{number}/wsgi")
    release(tmp_path / "base/.builds/new")
    before = dict(probe.changes)
    made[0].reading.clear()
    noisy = [tmp_path / "base/host0/wsgi/app.py", tmp_path / "base/host1/wsgi/app.py"]
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit):  # two by turns: equal events in a row are made one
        os.utime(noisy[0])
        os.utime(noisy[1])
    for number in range(4):
        swap(tmp_path / f"base/host{number}", ".builds/new")
    (tmp_path / "base/.builds/4/wsgi/app.py").write_text("app = 2\n")
    with caplog.at_level(logging.WARNING):
        made[0].reading.set()
        for number in range(5):
            probe.wait_for_change(f"host{number}", before.get(f"host{number}", 0))
        probe.settle()
    assert caplog.text.count("VAN021") == 1
    before = dict(probe.changes)
    (tmp_path / "base/.builds/new/wsgi/app.py").write_text("app = 2\n")
    for number in range(4):
        probe.wait_for_change(f"host{number}", before[f"host{number}"])


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "watched by another key"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_swap_at_any_moment_of_arming(
    opened: Opened, tmp_path: Path, moment: str, shared: bool
) -> None:
    made: list[Interfered] = []
    probe = _opened(opened, lambda: made.append(Interfered()) or made[-1])
    base = tmp_path / "base"
    for number in (1, 2):
        release(base / f".builds/host/{number}/src")
        (base / f".builds/host/{number}/wsgi").symlink_to("src/wsgi")
    (base / "host").symlink_to(".builds/host/1")
    if shared:
        probe.add("other", base / "host/wsgi")
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
    probe.add(key, base / "host/wsgi", settle=False)
    setattr(kernel, moment, lambda directory: None)
    if added < turn:
        return False
    probe.expect(key, lambda: (base / release / "src/wsgi/app.py").write_text(f"app = {turn}\n"))
    probe.remove(key)
    return True


def test_a_package_made_while_its_tree_is_armed(opened: Opened, tmp_path: Path) -> None:
    made: list[Interfered] = []
    probe = _opened(opened, lambda: made.append(Interfered()) or made[-1])
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
    probe = _opened(opened, lambda: made.append(Interfered()) or made[-1])
    made[0].before = seen.append
    wsgi = release(tmp_path / "host")
    for name in (".venv", "node_modules", ".git", "__pycache__"):
        (wsgi / name / "deep").mkdir(parents=True)
        (tmp_path / "host" / name / "deep").mkdir(parents=True)
    probe.add("host", wsgi)
    inside = {path for path in seen if path.startswith(str(tmp_path / "host"))}
    assert inside == {str(tmp_path / "host"), str(wsgi), str(wsgi / "package")}


def test_watches_are_shared_and_given_back(opened: Opened, tmp_path: Path) -> None:
    probe = _opened(opened)
    wsgi = release(tmp_path / "base/host")
    start = inotify_watches()
    probe.add("host", wsgi)
    assert inotify_watches() == start + 4  # base, host, wsgi, wsgi/package
    probe.add("same", wsgi)
    for number in range(100):
        probe.watcher.arm(f"unknown{number}", Target(f"{tmp_path}/base/{number}/wsgi"))
    assert inotify_watches() == start + 4
    probe.remove("same")
    probe.remove("host")
    assert inotify_watches() == start + 1  # the unknown ones wait for their names in base
    for number in range(100):
        probe.watcher.remove(f"unknown{number}")
    assert inotify_watches() == start


def test_swaps_leave_no_watches_behind(opened: Opened, tmp_path: Path) -> None:
    probe = _opened(opened)
    for number in (1, 2):
        release(tmp_path / f"base/.builds/{number}")
    (tmp_path / "base/host").symlink_to(".builds/1")
    probe.add("host", tmp_path / "base/host/wsgi")
    start = inotify_watches()
    for turn in range(20):
        probe.expect("host", lambda t=turn: swap(tmp_path / "base/host", f".builds/{2 - t % 2}"))
    assert inotify_watches() == start


def test_directories_that_come_and_go_leave_nothing_behind(opened: Opened, tmp_path: Path) -> None:
    probe = _opened(opened)
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    start = inotify_watches()
    for turn in range(20):
        probe.expect("host", (wsgi / f"new{turn}").mkdir)
        probe.expect("host", (wsgi / f"new{turn}").rmdir)
    assert inotify_watches() == start


MOST = 200


@pytest.mark.parametrize("later", [False, True])
def test_a_tree_without_end(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture, later: bool
) -> None:
    """The limit holds for what appears later as well."""
    wsgi = release(tmp_path / "host")
    probe = _opened(opened, most=MOST)
    start = inotify_watches()
    many = [wsgi / f"media{number}" for number in range(3 * MOST)]
    _make(many[: 10 if later else len(many)])
    with caplog.at_level(logging.WARNING):
        probe.add("host", wsgi)
        assert ("VAN026" in caplog.text) is not later
        if later:
            probe.expect("host", lambda: _make(many[10:]))
    assert caplog.text.count("VAN026") == 1
    assert "watch_ignore" in caplog.text
    assert inotify_watches() <= start + 10  # the direct entries still count
    probe.expect("host", lambda: (wsgi / "app.py").write_text("app = 2\n"))


def test_what_a_growing_tree_costs(opened: Opened, tmp_path: Path) -> None:
    """Directories that appear are armed as fast as they come, many at once."""
    added = 0

    def count(directory: str) -> None:
        nonlocal added
        added += 1

    made: list[Interfered] = []
    probe = _opened(opened, lambda: made.append(Interfered()) or made[-1])
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    made[0].before = count
    many = [wsgi / f"new{number}" for number in range(2000)]
    probe.expect("host", lambda: _make(many))
    assert len(many) < added < 100 * len(many)
    probe.expect("host", lambda: (many[-1] / "x.py").write_text("x = 1\n"))


def _make(directories: list[Path]) -> None:
    subprocess.run(
        ["xargs", "mkdir"], input="\n".join(map(str, directories)), text=True, check=True
    )


def test_the_descriptors_are_not_inherited(opened: Opened) -> None:
    _opened(opened)
    listing = subprocess.run(
        [sys.executable, "-c", "import os; print([os.readlink(f'/proc/self/fd/{n}')"
         " for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])"],
        close_fds=False, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "inotify" not in listing
    assert "eventfd" not in listing


def test_a_thread_and_an_instance_for_all(opened: Opened, tmp_path: Path) -> None:
    threads = threading.active_count()
    probe = _opened(opened)
    for number in range(50):
        probe.add(f"host{number}", release(tmp_path / f"base/host{number}"), settle=False)
    assert threading.active_count() == threads + 3  # the probe's, van-files, van-inotify
    assert sum("inotify" in link for link in descriptors().values()) == 1


def test_it_insists(tmp_path: Path) -> None:
    watcher = _watcher(no_inotify)
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
    probe = _opened(opened, lambda: made.append(Interfered()) or made[-1])
    made[0].before = refuse
    wsgi = release(tmp_path / "host")
    with caplog.at_level(logging.WARNING):
        probe.add("host", wsgi)
        probe.add("again", wsgi)
    assert caplog.text.count("VAN020") == 1
    assert "max_user_watches" in caplog.text
    probe.expect("host", lambda: (wsgi / "app.py").write_text("app = 2\n"))


def test_armed_before_start(tmp_path: Path) -> None:
    """A hint has it armed again."""
    wsgi = release(tmp_path / "host")
    hints: queue.Queue[str] = queue.Queue()
    watcher = _watcher(Inotify, hints.put)
    watcher.arm("host", Target(str(wsgi)))
    watcher.start()
    try:
        assert hints.get(timeout=DEADLINE) == "host"
        watcher.arm("host", Target(str(wsgi)))
        (wsgi / "package/x.py").write_text("x = 1\n")
        assert hints.get(timeout=DEADLINE) == "host"
    finally:
        watcher.stop()


def test_stop_before_start(tmp_path: Path) -> None:
    threads = threading.active_count()
    watcher = _watcher(Inotify)
    watcher.stop()
    watcher.start()
    watcher.arm("host", Target(str(tmp_path)))
    assert threading.active_count() == threads


def test_stop_in_the_middle_of_an_arming(tmp_path: Path) -> None:
    first, second = Target(str(tmp_path / "first")), Target(str(tmp_path / "second"))

    class Stops(Inotify):
        def add(self, directory: str) -> int:
            if directory == second.path:
                watcher.stop()
            return super().add(directory)

    for target in (first, second):
        Path(target.path).mkdir()
    watcher = _watcher(Stops)
    watcher.start()
    watcher.arm("host", first)
    watcher.arm("host", second)  # lets go of the first, with a descriptor that is closed
    assert not watcher.polled()


def test_stop_from_the_hint(opened: Opened, tmp_path: Path) -> None:
    probe = _opened(opened)
    (reader,) = (each for each in threading.enumerate() if each.name == "van-inotify")
    probe.on_hint = probe.watcher.stop
    release(tmp_path / "sentinel0/b/c")
    swap(tmp_path / "sentinel0/link", "b")
    wait(lambda: not reader.is_alive())


def test_a_hint_that_fails_once(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens to the reader, it goes on and has everything looked at."""
    probe = _opened(opened)

    def fail() -> None:
        probe.on_hint = lambda: None
        raise ValueError("from the callback")

    probe.on_hint = fail
    with caplog.at_level(logging.ERROR):
        probe.settle()
    assert "from the callback" in caplog.text


class Blocked(Interfered):
    """Adding a watch below one directory waits, as for a file server that does not answer."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.go, self.waiting = threading.Event(), threading.Event()

        def before(where: str) -> None:
            if Path(where).is_relative_to(directory):
                self.waiting.set()
                self.go.wait(DEADLINE)

        self.before = before


def test_arming_that_hangs_holds_up_nobody(opened: Opened, tmp_path: Path) -> None:
    made: list[Blocked] = []
    far, near = release(tmp_path / "far"), release(tmp_path / "near")
    probe = _opened(opened, lambda: made.append(Blocked(far.parent)) or made[-1])
    watcher = probe.watcher
    hanging = [
        threading.Thread(target=watcher.arm, args=(key, Target(str(far))))
        for key in ("far", "gone")
    ]
    try:
        for thread in hanging:
            thread.start()
        assert made[0].waiting.wait(DEADLINE)
        probe.add("near", near)
        probe.expect("near", lambda: (near / "package/x.py").write_text("x = 1\n"))
        watcher.remove("gone")
        watcher.remove("far")
        probe.remove("near")
        watcher.stop()
        assert all(thread.is_alive() for thread in hanging)
    finally:
        made[0].go.set()
    for thread in hanging:
        thread.join()
    assert watcher.polled() == set()


class Hinted:
    """A watcher alone, and the hints that it gave."""

    def __init__(self, directory: Path, make: Callable[[], Inotify] = Inotify) -> None:
        self.hints: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.watcher = _watcher(make, self.hints.put)
        self.watcher.start()
        self._last = directory / "last"
        self._last.mkdir()
        self.watcher.arm("last", Target(str(self._last)))

    def expect(self, key: str, change: Callable[[], object]) -> None:
        self.wait("last", self._touch)  # events come in order: what happened before is over
        self.wait(key, change)

    def wait(self, key: str, change: Callable[[], object]) -> None:
        change()
        while self.hints.get(timeout=DEADLINE) != key:
            pass

    def _touch(self) -> None:
        os.utime(self._last)

    def stop(self) -> None:
        """Nothing is left when no key wants anything."""
        self.watcher.remove("last")
        assert inotify_watches() == 0
        self.watcher.stop()


@pytest.fixture
def interfered(tmp_path: Path) -> Iterator[tuple[Hinted, Interfered]]:
    made: list[Interfered] = []
    hinted = Hinted(tmp_path, lambda: made.append(Interfered()) or made[-1])
    try:
        yield hinted, made[0]
        hinted.stop()
    finally:
        hinted.watcher.stop()


def test_another_key_lets_go_while_a_watch_is_claimed(
    interfered: tuple[Hinted, Interfered], tmp_path: Path
) -> None:
    """inotify_add_watch(2) has returned the number of a watch that is removed right after it."""
    hinted, kernel = interfered
    watcher, target = hinted.watcher, Target(str(release(tmp_path / "host")))
    for turn in range(10):
        watcher.arm("other", target)
        kernel.after = lambda where: where.endswith("package") and watcher.remove("other")
        watcher.arm(f"host{turn}", target)
        del kernel.after
        app, key = tmp_path / "host/wsgi/package/__init__.py", f"host{turn}"
        hinted.expect(key, lambda app=app: app.write_text("x = 1\n"))
        watcher.remove(key)


def test_of_two_armings_of_one_key_the_older_one_ends_first(
    interfered: tuple[Hinted, Interfered], tmp_path: Path
) -> None:
    """It lets go of what the key held before, but not of what the newer one claims again."""
    hinted, kernel = interfered
    apps = [release(tmp_path / f"home{number}") / "app.py" for number in range(2)]
    (tmp_path / "host").symlink_to("home0")
    target = Target(str(tmp_path / "host/wsgi"))
    hinted.watcher.arm("host", target)
    gates = [(threading.Event(), threading.Event()) for _ in apps]

    def before(directory: str) -> None:
        name = threading.current_thread().name
        if name.isdecimal() and directory.endswith("package"):
            gates[int(name)][0].set()
            assert gates[int(name)][1].wait(DEADLINE)

    kernel.before = before
    threads = []
    for number, home in enumerate(("home1", "home0")):
        swap(tmp_path / "host", home)
        threads.append(
            threading.Thread(target=hinted.watcher.arm, args=("host", target), name=str(number))
        )
        threads[-1].start()
        assert gates[number][0].wait(DEADLINE)
    for number, thread in enumerate(threads):
        gates[number][1].set()
        thread.join()
    hinted.expect("host", lambda: apps[0].write_text("app = 2\n"))
    hinted.watcher.remove("host")


ROUNDS = int(os.environ.get("VAN_HAMMER_ROUNDS", "1000"))


def test_one_key_arms_while_another_lets_go(tmp_path: Path) -> None:
    """At random moments: the kernel has the watches that are claimed, and no others."""
    hinted, target = Hinted(tmp_path), Target(str(release(tmp_path / "host")))
    watcher, chance = hinted.watcher, random.Random(0)
    watcher.arm("0", target)
    watches = inotify_watches()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for turn in range(ROUNDS):

            def move(number: int, turn: int = turn) -> None:
                sum(range(chance.randrange(3000)))
                if number:
                    watcher.remove(str(turn))
                else:
                    watcher.arm(str(turn + 1), target)

            in_threads(2, move)
            assert inotify_watches() == watches
        watcher.remove(str(ROUNDS))
        hinted.stop()
    finally:
        sys.setswitchinterval(interval)
        watcher.stop()


def test_armed_by_several_threads_while_everything_moves(tmp_path: Path) -> None:
    """At rest every change is hinted at, and the kernel has just the watches that are claimed."""
    hinted = Hinted(tmp_path)
    watcher = hinted.watcher
    homes = [release(tmp_path / f"home{number}/src") for number in range(3)]
    links = {name: tmp_path / name for name in ("one", "two", "three")}
    for link in links.values():
        link.symlink_to("home0")
    targets = {name: Target(str(link / "src/wsgi")) for name, link in links.items()}
    for key, target in targets.items():
        watcher.arm(key, target)
    done, resting, seen = threading.Event(), threading.Event(), threading.Event()

    def follow() -> None:
        """What van-files does with hints."""
        while not (done.is_set() and hinted.hints.empty()):
            try:
                key = hinted.hints.get(timeout=0.05)
            except queue.Empty:
                continue
            if key in targets:
                watcher.arm(key, targets[key])
            elif key == "last":
                seen.set()

    def arm(*keys: str) -> None:
        """What loads do, and evictions."""
        for number in range(ROUNDS):
            watcher.arm("evicted", targets["three"])
            watcher.arm(keys[number % len(keys)], targets[keys[number % len(keys)]])
            watcher.remove("evicted")

    def move(chance: random.Random) -> None:
        while not resting.is_set():
            swap(chance.choice(list(links.values())), f"home{chance.randrange(3)}")
            package = chance.choice(homes) / "package"
            shutil.rmtree(package, ignore_errors=True)
            package.mkdir(exist_ok=True)

    following = threading.Thread(target=follow)
    moving = threading.Thread(target=move, args=(random.Random(0),))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        following.start()
        moving.start()
        in_threads(3, lambda number: arm(*(list(targets)[number:] or ["one"])))
        resting.set()
        moving.join()
        os.utime(tmp_path / "last")  # events come in order
        assert seen.wait(DEADLINE)
        done.set()
        following.join()
        for key, link in links.items():
            hinted.expect(key, lambda link=link: (link / "src/wsgi/package/x.py").write_text("1"))
            hinted.expect(key, lambda link=link: swap(link, "home1/../home2"))
            watcher.remove(key)
        hinted.stop()
    finally:
        resting.set()
        done.set()
        sys.setswitchinterval(interval)
        watcher.stop()
