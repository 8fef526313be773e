"""Processes below this one: forked, looked at, ended in any case."""

from __future__ import annotations

import ctypes
import glob
import os
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import DEADLINE

NOBODY = 65534
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
ENDS_WITHIN = 10.0  # seconds that a process has which was told to end


def fork() -> int:
    """os.fork(); Python 3.12 and later warn where there are threads, as there are in all tests."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        return os.fork()


def forked(work: Callable[[], object]) -> int:
    """Run ``work`` in a child, whose process id is returned; its status is 0 unless that failed."""
    child = fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def in_child(test: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Run ``test`` in a forked child; it fails here with the child's traceback."""
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        text = ""
        try:
            test()
        except BaseException:
            text = traceback.format_exc()
        finally:
            os.write(writing, text.encode()[:4000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        ended, _, _ = select.select([pipe], [], [], seconds)
        if not ended:
            os.kill(child, signal.SIGKILL)
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    assert ended, f"the child did not end within {seconds:g} s"
    assert (text, status) == ("", 0), text


def without_privileges() -> None:
    """Root has no limits."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> set[int]:
    """The processes below ``pid``, zombies included."""
    found: set[int] = set()
    for task in glob.glob(f"/proc/{pid}/task/*/children"):  # none where the process has ended
        try:
            children = Path(task).read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            found |= {child, *descendants(child)}
    return found


def adopt_orphans() -> None:
    """From now on whatever loses its parent below this process becomes its child, not init's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def end_all(but: Set[int] = frozenset()) -> None:
    """Kill the processes below this one until there is none but those of ``but``."""
    while left := [pid for pid in descendants(os.getpid()) - but if runs(pid)]:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    _reap(but)


def _reap(but: Set[int]) -> None:
    for pid in descendants(os.getpid()) - but:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # a grandchild
            pass


@contextmanager
def none_left() -> Iterator[None]:
    """Kill the processes that were started within and still run; that there are any is an error."""
    before = descendants(os.getpid())

    def left() -> list[int]:
        return [pid for pid in descendants(os.getpid()) - before if runs(pid)]

    try:
        yield
        end = time.monotonic() + ENDS_WITHIN
        while left() and time.monotonic() < end:
            time.sleep(0.01)
        found = {pid: command(pid) for pid in left()}
    finally:
        end_all(before)
    assert not found, f"processes left behind: {found}"


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "ended"
