"""The two threads of the inotify watcher, on watchdog's extension points.

``van-inotify``, the emitter, reads and marks keys stale: it takes no lock that the other one holds
while it works, so that the kernel's queue is emptied however busy the process is. ``van-watch``,
the observer, arms what the events ask for. Between them is a queue without a Python lock instead of
watchdog's own, whose lock a thread may hold while it waits for the interpreter.
"""

from __future__ import annotations

import logging
import os
import queue
import select
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch

from mod_wsgi_van.watch.filesystem import MOUNTS
from mod_wsgi_van.watch.kernel import Event, Inotify

log = logging.getLogger(__name__)

_BATCH = 100  # items taken together, so that a writer that never stops cannot keep others waiting


class Mark(Enum):
    """What the reader, or a caller, puts on the queue besides events."""

    MOUNTED = "something was mounted or unmounted"
    LOST = "events were lost"
    STOP = "the end"


@dataclass(frozen=True, slots=True)
class Again:
    """A key to arm (again) and report."""

    key: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, and the keys that the reader has marked stale for them."""

    events: list[Event]
    marked: set[str]


Item = Batch | str | Again | Mark
"""A string is a key to report."""
Inbox = queue.SimpleQueue[Item]


class Source:
    """The descriptors of one watcher: events, mounts, and the one that wakes the reader."""

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
    """Moves what the kernel reports into the inbox."""

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        source: Source,
        inbox: Inbox,
        mark: Callable[[list[Event]], set[str]],
        timeout: float = 1.0,
        event_filter: None = None,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self.name = "van-inotify"
        self._source = source
        self._inbox = inbox
        self._mark = mark
        self._poll = select.poll()
        self._poll.register(source.inotify.fd, select.POLLIN)
        self._poll.register(source.wake, select.POLLIN)
        if source.mounts >= 0:
            # proc_pid_mounts(5): a change in the mount table is an exceptional condition.
            self._poll.register(source.mounts, select.POLLPRI)

    def queue_events(self, timeout: float) -> None:
        """Wait for events, without a time limit, and pass them on."""
        try:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._source.inotify.fd:
                    events = self._source.inotify.read()
                    self._inbox.put(Batch(events, self._mark(events)))
                elif descriptor == self._source.mounts:
                    self._inbox.put(Mark.MOUNTED)
        except Exception:
            log.exception("reading inotify events failed; everything is looked at again")
            self._inbox.put(Mark.LOST)
            self.stopped_event.wait(1)

    def on_thread_stop(self) -> None:
        if self._source.wake >= 0:
            os.eventfd_write(self._source.wake, 1)


class Observer(BaseObserver):
    """Passes the inbox, in batches, to ``act``; ``mark`` is called by the reader."""

    def __init__(
        self,
        source: Source,
        mark: Callable[[list[Event]], set[str]],
        act: Callable[[list[Item]], None],
    ) -> None:
        self.inbox: Inbox = queue.SimpleQueue()
        super().__init__(Reader, source=source, inbox=self.inbox, mark=mark)
        self.name = "van-watch"
        self._act = act
        self.schedule(FileSystemEventHandler(), "/")

    def dispatch_events(self, event_queue: EventQueue) -> None:
        """Wait for the inbox, not for watchdog's queue, and act on all that is in it."""
        batch = [self.inbox.get()]
        while not self.inbox.empty() and len(batch) < _BATCH:
            batch.append(self.inbox.get())
        if self.should_keep_running():
            try:
                self._act(batch)
            except Exception:
                log.exception("acting on file system events failed; watching goes on")

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self.inbox.put(Mark.STOP)
