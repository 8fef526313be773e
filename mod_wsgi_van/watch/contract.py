"""What a watcher is: it is told paths under a key and calls back ``stale(key)``.

A watcher knows no vhosts, no cache and no versions. ``stale(key)`` is a hint, "what stands behind
this key may have changed": a hint too many costs one comparison, a hint too few is a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mod_wsgi_van.files.target import Target

Stale = Callable[[str], None]


class Watcher(Protocol):
    """Calls ``stale(key)`` from threads of its own; every method may be called from any thread.

    ``stale`` must be quick: while it runs, nothing else is reported.
    """

    def start(self) -> None:
        """Start the threads; does nothing when they run or after ``stop``.

        Raises errors.WatchError when this watcher cannot work at all.
        """

    def add(self, key: str, target: Target) -> None:
        """Watch ``target`` under ``key``, in place of what was watched under it before.

        When it returns, every later change is reported; one that slips in while the watches are
        being armed is reported too. Never calls ``stale`` from the calling thread.
        """

    def remove(self, key: str) -> None:
        """Forget ``key``; an unknown key is no error. A late ``stale(key)`` may still come."""

    def polled(self, key: str) -> bool:
        """Whether changes of ``key`` are found by polling, so that they may take a while."""

    def stop(self) -> None:
        """End the threads and give back every descriptor; may be called twice, or never started."""

    def after_fork(self) -> None:
        """In a forked child: close what was inherited and forget it, without touching the parent.

        The watcher is then as new: empty and not started.
        """
