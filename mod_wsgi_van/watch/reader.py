"""The thread that reads inotify, ``van-inotify``: an emitter of watchdog's.

It takes no lock and looks nothing up in the file system, so that the kernel's queue is emptied
however busy the process is and whatever a file server does.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable

from watchdog.observers.api import EventEmitter, EventQueue, ObservedWatch

from mod_wsgi_van.watch.filesystem import MOUNTS
from mod_wsgi_van.watch.kernel import Event, Inotify

log = logging.getLogger(__name__)


class Descriptors:
    """What the reader waits for: events, mounts, and the one that wakes it. Raises OSError."""

    def __init__(self, make: Callable[[], Inotify]) -> None:
        self.inotify = make()
        self.wake = self.mounts = -1
        try:
            self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self.mounts = _open(MOUNTS)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        self.inotify.close()
        for descriptor in (self.wake, self.mounts):
            if descriptor >= 0:
                os.close(descriptor)
        self.wake = self.mounts = -1


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1  # no /proc here: a mount over a path is found by the sweep


class Reader(EventEmitter):
    """Passes on what the kernel reports; both callbacks are called from its thread."""

    def __init__(
        self,
        descriptors: Descriptors,
        on_events: Callable[[list[Event]], None],
        on_mounts: Callable[[], None],
    ) -> None:
        super().__init__(EventQueue(), ObservedWatch("/", recursive=False))
        self.name = "van-inotify"
        self._descriptors = descriptors
        self._on_events = on_events
        self._on_mounts = on_mounts
        self._poll = select.poll()
        self._poll.register(descriptors.inotify.fd, select.POLLIN)
        self._poll.register(descriptors.wake, select.POLLIN)
        if descriptors.mounts >= 0:
            # proc_pid_mounts(5): a change in the mount table is an exceptional condition.
            self._poll.register(descriptors.mounts, select.POLLPRI)

    def queue_events(self, timeout: float) -> None:
        """Wait for events, without a time limit, and pass them on."""
        try:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._descriptors.inotify.fd:
                    self._on_events(self._descriptors.inotify.read())
                elif descriptor == self._descriptors.mounts:
                    self._on_mounts()
        except Exception:
            log.exception("VAN009: reading inotify events failed; everything is looked at again")
            self._on_events([Event.lost()])
            self.stopped_event.wait(1)

    def on_thread_stop(self) -> None:
        if self._descriptors.wake >= 0:
            os.eventfd_write(self._descriptors.wake, 1)
