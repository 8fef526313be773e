"""One thread that looks after all worker processes of a router: output, ends, idle time.

It sleeps in epoll until something happens: a line of output, the end of a process, a control socket
that hangs up, a command of another thread, a deadline. Nothing is looked at again and again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from mod_wsgi_van.errors import WorkerFailed
from mod_wsgi_van.isolation.process.ending import Endings
from mod_wsgi_van.isolation.process.frames import Connection
from mod_wsgi_van.isolation.process.handle import Owner, Worker
from mod_wsgi_van.isolation.process.output import Output
from mod_wsgi_van.settings import Settings

log = logging.getLogger(__name__)

REST = 0.01  # seconds that a pipe is left alone which was read: a flood costs one read in that time
TELL = 1.0  # seconds between two looks whether a flood is over


class Supervisor:
    """Starts its thread with the first worker; ``stop`` ends the workers and the thread."""

    _epoll: select.epoll  # open while _wake is

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = False
        self._begin()

    def _begin(self) -> None:
        # Guards the thread's start and end, and the descriptor that wakes it: a write after it was
        # closed would go to whoever has its number then. Reentrant: the garbage collector may drop
        # a response, and so post a command, in the middle of another.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._wake = -1  # the thread's eventfd, while there is a thread
        self._commands: deque[Callable[[], None]] = deque()
        # All below belongs to the thread; but a worker is added by whoever started it.
        self._workers: set[Worker] = set()
        self._reaping: Worker | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._endings = Endings(self._settings.shutdown_timeout)
        self._resting: dict[int, float] = {}
        self._flooded: dict[Output, float] = {}  # when each is to tell what it has dropped
        self._abandoned: dict[Connection, tuple[Worker, float]] = {}
        self._idling: set[Owner] = set()  # those that are to be asked from when on they are idle

    # What other threads call. All but ``stop`` return at once.

    def adopt(self, worker: Worker) -> None:
        """Look after a process that was just started.

        Raises errors.WorkerFailed after stop, OSError or RuntimeError when no descriptor or thread
        is to be had; the worker is not looked after then.
        """
        with self._lock:
            if self._stopped:
                raise WorkerFailed("the router is shutting down: no worker is started any more")
            if self._thread is None:
                self._start()
            self._workers.add(worker)
            try:
                self._watch(worker.ending, select.EPOLLIN, lambda: self._ended(worker))
                self._watch(worker.control.fileno(), 0, lambda: self._hung_up(worker))
                self._watch(worker.output.fd, select.EPOLLIN, lambda: self._pump(worker.output))
            except OSError:
                self._drop(worker)
                raise

    def retire(self, worker: Worker, drain: float = 0) -> None:
        """End a worker that gets no more requests, when it has answered those that it has.

        They have ``drain`` seconds, and ``shutdown_timeout`` at least. Called again when it has
        answered the last of them.
        """
        self._post(lambda: self._endings.retire(worker, drain))

    def kill(self, worker: Worker) -> None:
        """End a worker that does not follow."""
        self._post(lambda: self._endings.kill(worker))

    def abandon(self, worker: Worker, connection: Connection, timeout: float) -> bool:
        """Give the worker back when it has noticed that nobody wants this response.

        It is late after ``timeout`` seconds. False when nobody looks after it any more: it has
        ended.
        """
        deadline = time.monotonic() + timeout
        return self._post(lambda: self._abandon(worker, connection, deadline))

    def look_at_idle(self, owner: Owner) -> None:
        """``idle_at`` of ``owner`` is another one now, and not later than it was."""
        self._post(lambda: self._idling.add(owner))

    def ended(self, owner: Owner, timeout: float) -> bool:
        """Wait for the end of all workers of ``owner``; whether there are none left."""
        deadline = time.monotonic() + timeout
        workers = [*self._workers.copy(), self._reaping]  # it goes from here to there
        return all(
            worker.gone.wait(max(0.0, deadline - time.monotonic()))
            for worker in workers
            if worker is not None and worker.owner is owner
        )

    def stop(self, timeout: float) -> None:
        """End every worker and the thread within ``timeout`` seconds, whatever the workers do."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        if thread is None:
            return
        self._post(lambda: self._end_all(timeout))
        thread.join(timeout)
        if thread.is_alive():
            pids = ", ".join(str(worker.pid) for worker in list(self._workers))
            log.error("VAN010: worker processes that SIGKILL has not ended in time: %s", pids)

    def after_fork(self) -> None:
        """In a child: close what was inherited; the workers stay the parent's."""
        for worker in self._workers:
            worker.disown()
        for connection in self._abandoned:
            connection.socket.close()
        self._close()
        self._begin()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="van-workers", daemon=True)
        self._epoll = select.epoll()
        try:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._epoll.register(self._wake, select.EPOLLIN)
            thread.start()
        except (OSError, RuntimeError):
            self._close()
            raise
        self._thread = thread

    def _post(self, command: Callable[[], None]) -> bool:
        with self._lock:
            if self._wake < 0:  # all workers are gone, there is nothing left to command
                return False
            self._commands.append(command)
            os.eventfd_write(self._wake, 1)
            return True

    # What runs in the thread.

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._turn()
            except Exception:
                log.exception("VAN039: an error in the supervisor of the worker processes")
                time.sleep(REST)  # it may come again at once
        for connection, (worker, _) in list(self._abandoned.items()):
            self._noticed(worker, connection)

    def _is_over(self) -> bool:
        with self._lock:
            over = self._stopped and not self._workers and not self._commands
            if over:
                self._close()
            return over

    def _close(self) -> None:
        if self._wake >= 0:
            self._epoll.close()
            os.close(self._wake)
            self._wake = -1

    def _turn(self) -> None:
        soonest = self._soonest()
        left = None if soonest == math.inf else max(0.0, soonest - time.monotonic())
        for fd, _ in self._epoll.poll(left):
            if fd == self._wake:
                os.eventfd_read(self._wake)
            elif callback := self._callbacks.get(fd):
                callback()
        while self._commands:
            self._commands.popleft()()
        self._do_what_is_due(time.monotonic())

    def _soonest(self) -> float:
        deadlines = [*self._resting.values(), *self._flooded.values(), *self._endings.deadlines()]
        deadlines += [deadline for _, deadline in self._abandoned.values()]
        deadlines += [owner.idle_at() for owner in self._idling]
        return min(deadlines, default=math.inf)

    def _do_what_is_due(self, now: float) -> None:
        for fd, when in list(self._resting.items()):
            if when <= now:
                del self._resting[fd]
                self._epoll.modify(fd, select.EPOLLIN)
        for output, when in list(self._flooded.items()):
            if when <= now:
                self._flooded[output] = now + TELL
                if output.tell(now):
                    del self._flooded[output]
        self._endings.proceed(now)
        for connection, (worker, deadline) in list(self._abandoned.items()):
            if deadline <= now:
                self._abandoned[connection] = (worker, math.inf)
                worker.owner.late(worker)
        for owner in tuple(self._idling):
            if (due := owner.idle_at()) == math.inf:  # it has no workers
                self._idling.discard(owner)
            elif due <= now:
                owner.give_back_idle(now)

    def _watch(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        self._callbacks[fd] = callback
        self._epoll.register(fd, events)  # of no events: tells of a hang-up alone

    def _forget(self, fd: int) -> None:
        self._resting.pop(fd, None)
        if self._callbacks.pop(fd, None):
            with contextlib.suppress(FileNotFoundError, ValueError):  # not registered, or closed
                self._epoll.unregister(fd)

    def _pump(self, output: Output) -> None:
        size, now = output.pump(), time.monotonic()
        if output.dropped:
            self._flooded.setdefault(output, now + TELL)
        if size is None:
            self._forget(output.fd)
        else:
            self._epoll.modify(output.fd, 0)
            self._resting[output.fd] = now + REST

    def _end_all(self, timeout: float) -> None:
        self._endings.limit(timeout)
        for worker in list(self._workers):
            end = self._endings.retire if worker.ready_at else self._endings.kill
            end(worker)

    def _hung_up(self, worker: Worker) -> None:
        self._forget(worker.control.fileno())
        worker.owner.lost(worker)
        self._endings.hung_up(worker)

    def _ended(self, worker: Worker) -> None:
        self._reaping = worker
        self._drop(worker)
        worker.owner.lost(worker)
        worker.reap()
        self._reaping = None
        worker.owner.gone(worker, expected=self._stopped)

    def _drop(self, worker: Worker) -> None:
        for fd in (worker.ending, worker.control.fileno(), worker.output.fd):
            self._forget(fd)
        self._endings.forget(worker)
        self._flooded.pop(worker.output, None)
        self._workers.discard(worker)

    def _abandon(self, worker: Worker, connection: Connection, deadline: float) -> None:
        self._abandoned[connection] = (worker, deadline)
        self._watch(connection.socket.fileno(), 0, lambda: self._noticed(worker, connection))

    def _noticed(self, worker: Worker, connection: Connection) -> None:
        self._forget(connection.socket.fileno())
        self._abandoned.pop(connection, None)
        connection.socket.close()
        worker.owner.give_back(worker)
