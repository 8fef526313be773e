"""One thread that looks after all worker processes of a router: output, ends, idle time.

It sleeps in epoll until something happens: a line of output, a control socket that hangs up, a
command of another thread, a deadline. All its state belongs to it; others post commands.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mod_wsgi_van.errors import WorkerFailed
from mod_wsgi_van.isolation.process.frames import Connection
from mod_wsgi_van.isolation.process.output import READ_BYTES, Output
from mod_wsgi_van.isolation.process.spawn import Worker
from mod_wsgi_van.settings import Settings

if TYPE_CHECKING:
    from mod_wsgi_van.isolation.process.pool import Pool

log = logging.getLogger(__name__)

REST = 0.05  # seconds that a pipe which was full is left alone: a flood is held to 1.3 MB/s
SOON = 0.005  # until a process that hung up is looked at again
DRAIN_POLL = 0.02
HANG_UP_GRACE = 0.3  # between a closed control socket and the end of the process
TERM_GRACE = 0.3


Step = Callable[[Worker], None]


@dataclass(slots=True)
class _Ending:
    """A worker that is to end: ``steps`` are still to be taken, the next at ``deadline``."""

    steps: list[Step]
    deadline: float
    drain: bool = False
    hung_up: bool = False


class Supervisor:
    """Starts its thread with the first worker; ``stop`` ends the workers and the thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Guards the thread's start and stop, and the descriptor that wakes it: a write after it
        # was closed would go to whoever has its number then. Reentrant: the garbage collector may
        # drop a response, and so post a command, in the middle of another.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._begin()

    def _begin(self) -> None:
        self._commands: deque[Callable[[], None]] = deque()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._workers: set[Worker] = set()
        self._endings: dict[Worker, _Ending] = {}
        self._resting: dict[int, float] = {}
        self._abandoned: dict[Connection, tuple[Worker, float]] = {}
        self._pools: set[Pool] = set()
        self._epoll: select.epoll | None = None
        self._wake = -1

    # What other threads call.

    def start(self) -> None:
        """Raises errors.WorkerFailed when no thread or descriptor is to be had, or after stop."""
        with self._lock:
            if self._stopped:
                raise WorkerFailed("the router is shutting down: no worker is started any more")
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="van-workers", daemon=True)
            try:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                self._epoll = select.epoll()
                self._epoll.register(self._wake, select.EPOLLIN)
                thread.start()
            except (OSError, RuntimeError) as error:
                self._close_own()
                raise WorkerFailed(f"no thread for worker processes: {error}") from error
            self._thread = thread

    def adopt(self, worker: Worker) -> None:
        """Look after a process that was just started."""
        self._post(lambda: self._adopt(worker))

    def retire(self, worker: Worker) -> None:
        """End a worker that gets no more requests, when it has answered those that it has."""
        self._post(lambda: self._end(worker, drain=True))

    def end(self, worker: Worker) -> None:
        """End a worker now, or see how it ended."""
        self._post(lambda: self._end(worker))

    def kill(self, worker: Worker) -> None:
        """End a worker that does not follow."""
        self._post(lambda: self._kill(worker))

    def abandon(self, worker: Worker, connection: Connection) -> None:
        """Wait until the worker has noticed that nobody wants the response of ``connection``."""
        self._post(lambda: self._abandon(worker, connection))

    def add_pool(self, pool: Pool) -> None:
        """Give the workers of ``pool`` back when it has been idle."""
        self._post(lambda: self._pools.add(pool))

    def remove_pool(self, pool: Pool) -> None:
        self._post(lambda: self._pools.discard(pool))

    def stop(self) -> None:
        """End every worker and the thread; returns when they are gone."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        if thread is None:
            return
        self._post(self._end_all)
        thread.join(self._settings.shutdown_timeout + TERM_GRACE + 5.0)

    def after_fork(self) -> None:
        """In a child: close what was inherited; the workers stay the parent's."""
        for worker in self._workers:
            worker.close()
            os.close(worker.output.fd)
            worker.process.returncode = 0  # not ours to wait for, and no warning about it
        for connection in self._abandoned:
            connection.socket.close()
        self._close_own()
        self._lock = threading.RLock()
        self._thread = None
        self._begin()

    def _post(self, command: Callable[[], None]) -> None:
        with self._lock:
            self._commands.append(command)
            if self._wake >= 0:  # else all workers are gone, there is nothing left to command
                os.eventfd_write(self._wake, 1)

    # What runs in the thread.

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._turn()
            except Exception:
                log.exception("VAN039: an error in the supervisor of the worker processes")
        for connection, (worker, _) in self._abandoned.items():
            connection.socket.close()
            worker.pool.give_back(worker)

    def _is_over(self) -> bool:
        with self._lock:
            over = self._stopped and not self._workers and not self._commands
            if over:
                self._close_own()
            return over

    def _turn(self) -> None:
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(self._timeout(time.monotonic())):
            if fd == self._wake:
                os.eventfd_read(self._wake)
            elif callback := self._callbacks.get(fd):
                callback()
        while self._commands:
            self._commands.popleft()()
        now = time.monotonic()
        for fd, when in list(self._resting.items()):
            if when <= now:
                del self._resting[fd]
                self._epoll.modify(fd, select.EPOLLIN)
        for worker in list(self._endings):
            self._proceed(worker, now)
        for connection, (worker, deadline) in list(self._abandoned.items()):
            if deadline <= now:
                self._abandoned[connection] = (worker, float("inf"))
                worker.pool.late(worker)
        for pool in list(self._pools):
            pool.give_back_idle(now)

    def _timeout(self, now: float) -> float | None:
        """Seconds until the next deadline, None when there is none."""
        deadlines = list(self._resting.values())
        for ending in self._endings.values():
            poll = SOON if ending.hung_up else DRAIN_POLL if ending.drain else 3600.0
            deadlines.append(min(ending.deadline, now + poll))
        deadlines += [deadline for _, deadline in self._abandoned.values()]
        deadlines += [pool.idle_at() for pool in self._pools]
        soonest = min(deadlines, default=float("inf"))
        return None if soonest == float("inf") else max(0.0, soonest - now)

    def _adopt(self, worker: Worker) -> None:
        self._workers.add(worker)
        self._watch(worker.output.fd, select.EPOLLIN, lambda: self._pump(worker.output))
        self._watch(worker.control.fileno(), 0, lambda: self._hung_up(worker))
        if self._stopped:
            self._kill(worker)

    def _watch(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        assert self._epoll is not None
        self._epoll.register(fd, events)  # of no events: tells of a hang-up alone
        self._callbacks[fd] = callback

    def _forget(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) and self._epoll is not None:
            self._epoll.unregister(fd)
        self._resting.pop(fd, None)

    def _pump(self, output: Output) -> None:
        size = output.pump()
        if size is None:
            self._forget(output.fd)
        elif size == READ_BYTES and self._epoll is not None:
            self._epoll.modify(output.fd, 0)
            self._resting[output.fd] = time.monotonic() + REST

    def _hung_up(self, worker: Worker) -> None:
        self._forget(worker.control.fileno())
        if worker not in self._endings:
            worker.pool.lost(worker)
            self._end(worker)
        ending = self._endings[worker]
        ending.drain = False
        ending.hung_up = True
        ending.steps = [_terminate, _kill]
        ending.deadline = time.monotonic() + HANG_UP_GRACE

    def _end(self, worker: Worker, *, drain: bool = False) -> None:
        if worker in self._endings or worker not in self._workers:
            return
        now = time.monotonic()
        steps: list[Step] = [_quit, _terminate, _kill]
        self._endings[worker] = _Ending(steps, now, drain=drain)
        if drain:
            self._endings[worker].deadline = now + self._settings.shutdown_timeout

    def _kill(self, worker: Worker) -> None:
        if worker in self._workers:
            self._endings[worker] = _Ending([], 0.0, hung_up=True)

    def _end_all(self) -> None:
        for worker in list(self._workers):
            ending = self._endings.get(worker)
            if not worker.ready_at:
                self._kill(worker)
            elif ending is None:
                self._end(worker)
            elif ending.drain:
                ending.drain = False
                ending.deadline = 0.0

    def _proceed(self, worker: Worker, now: float) -> None:
        """Reap a worker that has ended; take the next step with one that has not in time."""
        ending = self._endings[worker]
        how = worker.ended()
        if how is not None:
            worker.how = how
            self._reap(worker)
        elif now >= ending.deadline or (ending.drain and not worker.busy):
            ending.drain = False
            step = ending.steps.pop(0) if ending.steps else _kill
            step(worker)
            patience = self._settings.shutdown_timeout if step is _quit else TERM_GRACE
            ending.deadline = now + patience

    def _reap(self, worker: Worker) -> None:
        worker.signal(signal.SIGKILL)  # what it left behind in its process group
        worker.process.wait()
        self._forget(worker.control.fileno())
        self._forget(worker.output.fd)
        worker.output.close()
        del self._endings[worker]
        self._workers.discard(worker)
        worker.gone.set()
        worker.pool.gone(worker, expected=self._stopped)

    def _abandon(self, worker: Worker, connection: Connection) -> None:
        limit = self._settings.request_timeout
        deadline = time.monotonic() + limit if limit else float("inf")
        self._abandoned[connection] = (worker, deadline)
        self._watch(connection.socket.fileno(), 0, lambda: self._noticed(worker, connection))

    def _noticed(self, worker: Worker, connection: Connection) -> None:
        self._forget(connection.socket.fileno())
        self._abandoned.pop(connection, None)
        connection.socket.close()
        worker.pool.give_back(worker)

    def _close_own(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1


def _quit(worker: Worker) -> None:
    try:
        worker.control.send(b"q", 0x40)  # MSG_DONTWAIT: it may not be reading
    except OSError:
        pass


def _terminate(worker: Worker) -> None:
    worker.signal(signal.SIGTERM)


def _kill(worker: Worker) -> None:
    worker.signal(signal.SIGKILL)
