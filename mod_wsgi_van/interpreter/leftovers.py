"""What an application set for the thread that it ran in, and did not take back.

C code keeps some settings by thread: a trace function, the decimal context, the running event loop.
A thread of the server goes from site to site, so they are undone when it gets its next request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Undo = Callable[[], object]

# By thread, then by setting. A thread changes and removes its own entry alone, so what others leave
# for it stands in a second one, under the complement of its number.
leftovers: dict[int, dict[str, Undo]] = {}
_thread = threading.local()


class _End:
    """Goes with its thread, which may not be the server's, and takes the entry along."""

    def __init__(self, thread: int) -> None:
        self.thread = thread

    def __del__(self, pop: Callable[..., object] = leftovers.pop) -> None:
        pop(self.thread, None)


def leave(setting: str, undo: Undo) -> bool:
    """Let ``undo`` be called, if nothing is known for ``setting`` yet; tell whether that is so."""
    thread = threading.get_ident()
    entry = leftovers.get(thread)
    if entry is None:
        _thread.end = _End(thread)
        entry = leftovers[thread] = {}
    if setting in entry:
        return False
    entry[setting] = undo
    return True


def leave_to(owner: threading.Thread, setting: str, undo: Undo) -> None:
    """Let another thread call ``undo`` at its next request, unless it has ended."""
    living = {~(each.ident or 0) for each in threading.enumerate()}
    for ended in [each for each in list(leftovers) if each < 0 and each not in living]:
        leftovers.pop(ended, None)
    key = ~(owner.ident or 0)
    while key in living:
        entry = leftovers.setdefault(key, {})
        entry[setting] = undo
        if leftovers.get(key) is entry:  # or the owner took it meanwhile, perhaps without ours
            return


def forget(setting: str) -> None:
    """The application has undone it."""
    thread = threading.get_ident()
    entry = leftovers.get(thread)
    if entry is not None and entry.pop(setting, None) is not None and not entry:
        leftovers.pop(thread, None)


def undo() -> None:
    """Undo what is left in this thread."""
    thread = threading.get_ident()
    for key in (thread, ~thread):
        entry = leftovers.pop(key, {})
        while entry:  # it may still grow
            entry.popitem()[1]()
