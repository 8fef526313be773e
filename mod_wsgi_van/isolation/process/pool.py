"""The workers of one release: lends them to requests, replaces those that died or are worn out."""

from __future__ import annotations

import errno
import logging
import math
import threading
import time

from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.process.frames import Connection
from mod_wsgi_van.isolation.process.spawn import Worker, spawn
from mod_wsgi_van.isolation.process.supervisor import Supervisor
from mod_wsgi_van.settings import Settings

log = logging.getLogger(__name__)

AT_ONCE = 1.0  # a worker that lived shorter than so many seconds, and answered nothing
DEATHS_BEFORE_PAUSE = 3
LONGEST_PAUSE = 60.0
WEIGH_EVERY = 1.0  # seconds between two looks at the memory of a worker


class Refused(Exception):
    """No worker is to be had now; ``retry_after`` says in how many seconds to ask again."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Pool:
    """Called by every request's thread; a worker is started by the request that needs it."""

    def __init__(self, source: Source, settings: Settings, supervisor: Supervisor) -> None:
        self.host = source.host
        self._source = source
        self._settings = settings
        self._supervisor = supervisor
        self._begin()

    def _begin(self) -> None:
        # Guards all below, and what the workers hold for their pool. Never held while a worker is
        # started, sent to or waited for.
        self._changed = threading.Condition(threading.Lock())
        self._workers: list[Worker] = []  # those that get requests
        self._retiring: set[Worker] = set()  # those that end because the router wants it
        self._starting = 0
        self._closed = False
        self._used_at = time.monotonic()
        self._deaths = 0  # at once, one after the other
        self._not_before = 0.0

    def open(self) -> None:
        """Start all workers, side by side, and return when they are ready; raises LoadError."""
        failures: list[LoadError] = []
        others = [
            threading.Thread(
                target=self._try_start, args=(failures,), name=f"van-start-{self.host}"
            )
            for _ in range(self._settings.processes_per_vhost - 1)
        ]
        for thread in others:
            thread.start()
        self._try_start(failures)
        for thread in others:
            thread.join()
        if failures:
            self.close()
            raise failures[0]

    def _try_start(self, failures: list[LoadError]) -> None:
        try:
            self._admit(spawn(self._source, self._settings, self._supervisor, self))
        except LoadError as error:
            failures.append(error)

    def _admit(self, worker: Worker) -> None:
        """Take in a worker that is ready, in place of one that is worn out."""
        worn: list[Worker] = []
        with self._changed:
            self._let_go(worker)
            if self._closed:
                worn.append(worker)
            else:
                worn += [other for other in self._workers if other.replaced][:1]
                self._workers = [other for other in self._workers if other not in worn]
                self._workers.append(worker)
                self._used_at = time.monotonic()
            self._retiring.update(worn)
            self._changed.notify_all()
        for other in worn:
            self._supervisor.retire(other)
        if self._settings.idle_timeout:
            self._supervisor.add_pool(self)

    def borrow(self) -> tuple[Worker, Connection]:
        """A worker with room for a request and a connection to it; raises Refused."""
        while True:
            worker, connection = self._choose()
            if connection is not None:
                return worker, connection
            try:
                return worker, worker.connect(self._settings.request_timeout)
            except OSError as error:
                self.give_back(worker)
                if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EBADF):
                    self.lost(worker)
                    continue
                log.error(
                    "%s: VAN038: no connection to its worker (%s), the client gets 503; raise the"
                    " limit of open files (LimitNOFILE)",
                    self.host,
                    error,
                )
                raise Refused("no connection to a worker") from None

    def _choose(self) -> tuple[Worker, Connection | None]:
        """The least busy worker, counted as busier by one; starts one when there is none."""
        deadline = time.monotonic() + self._settings.queue_timeout
        with self._changed:
            while True:
                if self._closed:
                    raise Refused("this release is no longer served")
                worker = min(self._workers, key=_busy, default=None)
                if worker is not None and worker.busy < self._settings.process_threads:
                    return worker, self._lend(worker)
                if worker is None and not self._starting:
                    self._check_pause()
                    self._starting += 1
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    self._log_full(worker)
                    raise Refused("no worker with room")
        self._start_anew()
        return self._choose()

    def _lend(self, worker: Worker) -> Connection | None:
        worker.busy += 1
        worker.served += 1
        if self._settings.max_requests and worker.served >= self._settings.max_requests:
            self._replace(worker, f"it has had {worker.served} requests (max_requests)")
        if worker.replaced or len(self._workers) < self._settings.processes_per_vhost:
            self._start_in_background()
        return worker.idle.pop() if worker.idle else None

    def give_back(self, worker: Worker, connection: Connection | None = None) -> None:
        """After ``borrow``: the request is over; a connection that is in order is used again."""
        now = time.monotonic()
        weigh = False
        with self._changed:
            self._let_go(worker)
            self._used_at = now
            worker.answered = worker.answered or connection is not None
            if connection is not None and worker in self._workers:
                worker.idle.append(connection)
                connection = None
            if self._settings.memory_limit and now - worker.weighed_at > WEIGH_EVERY:
                worker.weighed_at = now
                weigh = True
            self._changed.notify()
        if connection is not None:
            connection.socket.close()
        if weigh and (size := worker.resident()) > self._settings.memory_limit:
            with self._changed:
                self._replace(worker, f"it holds {size >> 20} MB of memory (memory_limit)")
                self._start_in_background()

    def _let_go(self, worker: Worker) -> None:
        """With the lock held."""
        worker.busy -= 1
        if worker.gone.is_set() and not worker.busy:
            worker.close()

    def abandon(self, worker: Worker, connection: Connection) -> None:
        """In place of ``give_back`` when the response was not read to its end."""
        connection.hang_up()
        self._supervisor.abandon(worker, connection)

    def _replace(self, worker: Worker, why: str) -> None:
        """With the lock held: let the next fresh worker take this one's place."""
        if worker.replaced or worker not in self._workers:
            return
        worker.replaced = True
        log.info("%s: its worker %d is replaced: %s", self.host, worker.pid, why)

    def late(self, worker: Worker) -> None:
        """A request got no answer in time: no more requests for this worker, and an end."""
        with self._changed:
            if worker not in self._workers:
                return
            self._workers.remove(worker)
            self._retiring.add(worker)
            self._changed.notify_all()
        log.error(
            "%s: VAN031: its worker %d did not answer within %g s (request_timeout): it is ended,"
            " the next request starts another",
            self.host,
            worker.pid,
            self._settings.request_timeout,
        )
        self._supervisor.retire(worker)

    def garbled(self, worker: Worker, what: str) -> None:
        """The worker does not follow the protocol: it is not to be trusted any more."""
        log.error(
            "%s: VAN033: its worker %d answered garbage (%s), the client gets 502: it is killed,"
            " the next request starts another",
            self.host,
            worker.pid,
            what,
        )
        with self._changed:
            self._retiring.add(worker)
        self.lost(worker)
        self._supervisor.kill(worker)

    def lost(self, worker: Worker) -> None:
        """The worker has ended, or closed a connection, which no sound one does by itself.

        It gets no more requests; where it lives on, those that it has may end.
        """
        with self._changed:
            if worker not in self._workers:
                return
            self._workers.remove(worker)
            at_once = not worker.answered and time.monotonic() - worker.ready_at < AT_ONCE
            self._deaths = self._deaths + 1 if at_once else 0
            self._set_pause()
            self._changed.notify_all()
        self._supervisor.retire(worker)

    def gone(self, worker: Worker, *, expected: bool) -> None:
        """Called by the supervisor when the process of ``worker`` is no more."""
        with self._changed:
            # What went wrong before it was ready is in the LoadError.
            expected = expected or worker in self._retiring or not worker.ready_at
            self._retiring.discard(worker)
            if not worker.busy:  # else by the last give_back: a descriptor's number that is used
                worker.close()  # by one thread must not become another vhost's
        if not expected:
            log.error(
                "%s: VAN030: its worker %d is gone: %s; the next request starts another",
                self.host,
                worker.pid,
                worker.how,
            )

    def _set_pause(self) -> None:
        """A death or two are followed at once by a fresh worker, later ones after 1, 2, 4 ... s."""
        over = self._deaths - DEATHS_BEFORE_PAUSE
        pause = 0.0 if over < 0 else min(LONGEST_PAUSE, 2.0**over)
        self._not_before = time.monotonic() + pause
        if pause:
            log.error(
                "%s: VAN034: its workers end or fail at once, %d in a row: no new one for %g s,"
                " its clients get 503",
                self.host,
                self._deaths,
                pause,
            )

    def _check_pause(self) -> None:
        left = self._not_before - time.monotonic()
        if left > 0:
            raise Refused("the worker fails again and again", math.ceil(left))

    def _start_anew(self) -> None:
        """After ``_starting`` was counted up: start a worker in this thread; raises Refused."""
        try:
            worker = spawn(self._source, self._settings, self._supervisor, self)
        except LoadError as error:
            log.error("%s%s", error, f"\n{error.details}" if error.details else "")
            with self._changed:
                self._starting -= 1
                self._deaths = max(DEATHS_BEFORE_PAUSE, self._deaths + 1)
                self._set_pause()
                self._changed.notify_all()
            raise Refused("no worker could be started") from None
        with self._changed:
            self._starting -= 1
        self._admit(worker)
        log.info("%s: worker %d started", self.host, worker.pid)

    def _start_in_background(self) -> None:
        """With the lock held."""
        if self._starting or self._closed or self._not_before > time.monotonic():
            return
        self._starting += 1
        thread = threading.Thread(
            target=self._start_quietly, name=f"van-start-{self.host}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: the next request tries again
            self._starting -= 1

    def _start_quietly(self) -> None:
        try:
            self._start_anew()
        except Refused:  # logged; the workers that there are go on
            pass

    def _log_full(self, worker: Worker | None) -> None:
        log.warning(
            "%s: VAN032: no worker had room within %g s (queue_timeout), the client gets 503: %s",
            self.host,
            self._settings.queue_timeout,
            "all process_threads are taken" if worker else "it is still being started",
        )

    def idle_at(self) -> float:
        """When the workers are to be given back if no request comes; monotonic."""
        if not self._workers:
            return math.inf
        return self._used_at + self._settings.idle_timeout

    def give_back_idle(self, now: float) -> None:
        with self._changed:
            if self.idle_at() > now:
                return
            if any(worker.busy for worker in self._workers):
                self._used_at = now
                return
            idle, self._workers = self._workers, []
            self._retiring.update(idle)
        log.info("%s: worker given back after %g s idle", self.host, self._settings.idle_timeout)
        for worker in idle:
            self._supervisor.end(worker)

    def close(self) -> None:
        """Lend no more and end the workers, after the requests that they have."""
        with self._changed:
            self._closed = True
            ending, self._workers = self._workers, []
            self._retiring.update(ending)
            self._changed.notify_all()
        self._supervisor.remove_pool(self)
        for worker in ending:
            self._supervisor.retire(worker)

    def after_fork(self) -> None:
        """In a child: without workers, as after idle_timeout."""
        self._begin()


def _busy(worker: Worker) -> int:
    return worker.busy
