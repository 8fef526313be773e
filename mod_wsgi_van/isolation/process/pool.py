"""The workers of one release: lends them to requests, replaces those that died or are worn out."""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from collections.abc import Callable
from operator import attrgetter

from mod_wsgi_van.errors import LoadError, WorkerFailed
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.process.bounds import KEYS, reached, told
from mod_wsgi_van.isolation.process.frames import Connection
from mod_wsgi_van.isolation.process.handle import Worker
from mod_wsgi_van.isolation.process.pause import Pause
from mod_wsgi_van.isolation.process.spawn import Starter
from mod_wsgi_van.isolation.process.supervisor import Supervisor
from mod_wsgi_van.lines import marked
from mod_wsgi_van.settings import Settings

log = logging.getLogger(__name__)

AT_ONCE = 1.0  # a worker that lived shorter than so many seconds, and answered nothing
WEIGH_EVERY = 1.0  # seconds between two looks at the memory of a worker


class NoWorker(Exception):
    """No worker is to be had now: ask again in ``retry_after`` seconds."""

    def __init__(self, retry_after: float = 1) -> None:
        super().__init__()
        self.retry_after = math.ceil(retry_after)


class Pool:
    """Owns the workers of a release. Called by the threads of requests and by the supervisor's.

    After the first ones, workers are started in threads of their own (``van-start-<host>``): the
    site's file system may not answer, and a request waits for no longer than it is allowed to.
    """

    def __init__(self, source: Source, settings: Settings, supervisor: Supervisor) -> None:
        """Starts nothing yet; raises errors.WorkerFailed, as Starter."""
        self.host = source.host
        self.entry = ""  # what the first worker took, once there was one, and its Python
        self.python = ""
        self._tally = source.tally
        self._starter = Starter(source, settings, supervisor)
        self._settings = settings
        self._supervisor = supervisor
        self.after_fork()

    def after_fork(self) -> None:
        """In a child: without workers, as after idle_timeout."""
        # Guards all below, and what the workers hold for their pool. Never held while a worker is
        # started, sent to or waited for. The supervisor may be told something while it is held.
        self._changed = threading.Condition()
        self._workers: list[Worker] = []  # those that get requests
        self._starting = False
        self._closed = False
        self._used_at = time.monotonic()
        self._pause = Pause()
        self.waiting = 0  # requests that wait for a worker with room

    # Starting.

    def open(self) -> None:
        """Start all workers, side by side, and return when they are ready; raises LoadError."""
        failures: list[LoadError] = []
        others: list[threading.Thread] = []
        try:
            for _ in range(self._settings.processes_per_vhost - 1):
                others.append(self._in_thread(lambda: self._start(failures.append)))
        except WorkerFailed as error:
            failures.append(error)
        else:
            self._start(failures.append)
        for thread in others:
            thread.join()
        if failures:
            self.close()
            raise failures[0]

    def _in_thread(self, work: Callable[[], None]) -> threading.Thread:
        """Raises errors.WorkerFailed when no thread is to be had."""
        thread = threading.Thread(target=work, name=f"van-start-{self.host}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise WorkerFailed(
                f"{self.host}: no thread is to be had that starts a worker: {error}; raise the"
                " limit of processes (TasksMax, RLIMIT_NPROC)"
            ) from error
        return thread

    def _start(self, failed: Callable[[LoadError], None]) -> None:
        try:
            self._admit(self._starter.spawn(self))
        except LoadError as error:
            failed(error)

    def _admit(self, worker: Worker) -> None:
        """Take in a worker that is ready, in place of one that is worn out."""
        with self._changed:
            if self._closed:
                worker.leaving = True
            else:
                worn = next((other for other in self._workers if other.replaced), None)
                if worn is not None:
                    self._dismiss(worn, drain=self._settings.grace_period)
                self._workers.append(worker)
                self.entry = self.entry or worker.entry
                self.python = self.python or worker.python
                self._used_at = time.monotonic()
                if self._settings.idle_timeout:
                    self._supervisor.look_at_idle(self)
                if self._starting:  # else the release is said to be loaded
                    log.info("%s: worker %d started", self.host, worker.pid)
            self._let_go(worker)
            self._changed.notify_all()

    def _dismiss(self, worker: Worker, drain: float = 0) -> None:
        """With the lock held: no more requests for this worker, and an end after those it has.

        They have ``drain`` seconds, and ``shutdown_timeout`` at least.
        """
        self._workers.remove(worker)
        worker.leaving = True
        self._supervisor.retire(worker, drain)

    def _start_another(self) -> None:
        """With the lock held: start a worker in the background."""
        if self._starting or self._closed or self._pause.left():
            return
        self._starting = True
        try:
            self._in_thread(self._start_in_background)
        except WorkerFailed as error:
            self._starting = False
            if not self._workers:  # else the next request tries again
                self._failed(error)

    def _start_in_background(self) -> None:
        try:
            self._start(self._failed)
        finally:
            with self._changed:
                self._starting = False
                self._changed.notify_all()

    def _failed(self, error: LoadError) -> None:
        """No worker could be started; those that there are go on."""
        with self._changed:
            if self._closed:
                return  # nobody wants it any more
            details = f"\n{marked(self.host, error.details)}" if error.details else ""
            log.error("%s%s", error.of(self.host), details)
            self._log_pause(self._pause.not_started())
            self._changed.notify_all()

    # Lending.

    def borrow(self) -> tuple[Worker, Connection]:
        """A worker with room for a request and a connection to it; raises NoWorker."""
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
                text = "%s: VAN038: no connection to its worker (%s), 503; raise LimitNOFILE"
                log.error(text, self.host, error)
                raise self._refused("descriptors") from None

    def _choose(self) -> tuple[Worker, Connection | None]:
        """The least busy worker, counted as busier by one; starts one when there is none."""
        began, patience = time.monotonic(), self._settings.queue_timeout
        with self._changed:
            while True:
                if self._closed:
                    raise NoWorker
                worker = min(self._workers, key=attrgetter("busy"), default=None)
                if worker is not None and worker.busy < self._settings.process_threads:
                    return worker, self._lend(worker)
                if worker is None and not self._starting:
                    if left := self._pause.left():
                        raise self._refused("pause", left)
                    self._start_another()
                    patience = max(patience, self._settings.load_timeout + 1)  # for how it ends
                elif not self._wait(began + patience - time.monotonic()):
                    why = "all process_threads are taken" if worker else "it is still being started"
                    text = "%s: VAN032: no worker had room within %g s, the client gets 503: %s"
                    log.warning(text, self.host, patience, why)
                    raise self._refused("queue")

    def _refused(self, why: str, retry_after: float = 1) -> NoWorker:
        self._tally.note("refused", why)
        return NoWorker(retry_after)

    def _wait(self, timeout: float) -> bool:
        self.waiting += 1
        try:
            return self._changed.wait(timeout)
        finally:
            self.waiting -= 1

    def _lend(self, worker: Worker) -> Connection | None:
        worker.busy += 1
        worker.served += 1
        if self._settings.max_requests and worker.served >= self._settings.max_requests:
            self._replace(worker, f"it has had {worker.served} requests", "max_requests")
        if worker.replaced or len(self._workers) < self._settings.processes_per_vhost:
            self._start_another()
        return worker.idle.pop() if worker.idle else None

    def give_back(self, worker: Worker, connection: Connection | None = None) -> None:
        """After ``borrow``: the request is over; a connection that is in order is used again."""
        now = time.monotonic()
        limit = self._settings.memory_limit
        with self._changed:
            self._let_go(worker)
            self._used_at = worker.used_at = now
            worker.answered = worker.answered or connection is not None
            if connection is not None and worker in self._workers:
                worker.idle.append(connection)
                connection = None
            weigh = limit and now - worker.weighed_at > WEIGH_EVERY
            if weigh:
                worker.weighed_at = now
            self._changed.notify()
        if connection is not None:
            connection.socket.close()
        if weigh and (size := worker.resident()) > limit:
            with self._changed:
                self._replace(worker, f"it holds {size >> 20} MB of memory", "memory_limit")
                self._start_another()

    def _let_go(self, worker: Worker) -> None:
        """With the lock held."""
        worker.busy -= 1
        if worker.busy:
            return
        if worker.gone.is_set():
            worker.close()
        elif worker not in self._workers:
            self._supervisor.retire(worker)

    def abandon(self, worker: Worker, connection: Connection) -> None:
        """In place of ``give_back`` when the response was not read to its end.

        Takes no lock of the pool: the garbage collector may call it from anywhere.
        """
        connection.hang_up()
        timeout = self._settings.request_timeout or math.inf
        if not self._supervisor.abandon(worker, connection, timeout):
            connection.socket.close()

    # Ending.

    def _replace(self, worker: Worker, why: str, setting: str, code: str = "") -> None:
        """With the lock held: let the next fresh worker take this one's place."""
        if worker in self._workers and not worker.replaced:
            worker.replaced = True
            self._tally.note("worker_restarts", setting)
            level = logging.WARNING if code else logging.INFO
            text = "%s: %sits worker %d is replaced: %s (%s)"
            log.log(level, text, self.host, code, worker.pid, why, setting)

    def raised(self, worker: Worker, traceback: str) -> None:
        """The application raised in it: where the reason is a limit, it is replaced."""
        if hit := told(self._settings, traceback):
            why = reached(self._settings, hit)
            with self._changed:
                self._replace(worker, why, KEYS[hit[0]], "VAN047: ")
                self._start_another()

    def late(self, worker: Worker) -> None:
        """A request got no answer in time: no more requests for this worker, and an end."""
        with self._changed:
            if worker not in self._workers:
                return
            self._dismiss(worker)
            self._changed.notify_all()
        self._tally.note("worker_restarts", "request_timeout")
        text = "%s: VAN031: its worker %d did not answer within %g s (request_timeout): it is ended"
        log.error(text, self.host, worker.pid, self._settings.request_timeout)

    def garbled(self, worker: Worker, what: str) -> None:
        """The worker does not follow the protocol: it is not to be trusted any more."""
        self._tally.note("worker_restarts", "garbage")
        text = "%s: VAN033: its worker %d answered garbage (%s): it is ended, the client gets 502"
        log.error(text, self.host, worker.pid, what)
        with self._changed:
            worker.leaving = True
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
            self._log_pause(self._pause.died(at_once=at_once))
            self._changed.notify_all()
        self._supervisor.retire(worker)

    def gone(self, worker: Worker, *, expected: bool) -> None:
        """Called by the supervisor when the process of ``worker`` is no more."""
        with self._changed:
            # What went wrong before it was ready is in the LoadError.
            expected = expected or worker.leaving or not worker.ready_at
            if not worker.busy:  # else the last give_back closes: a thread may be about to use a
                worker.close()  # number that would be another site's descriptor by then
        if not expected:
            self._tally.note("worker_restarts", "died")
            why = reached(self._settings, worker.hit)
            how = f"{worker.how}: {why}" if why else worker.how
            text = "%s: VAN030: its worker %d is gone: %s; the next request starts another"
            log.error(text, self.host, worker.pid, how)

    def _log_pause(self, seconds: float) -> None:
        if seconds:
            text = "%s: VAN034: its workers end or fail at once, %d in a row: no new one for %g s"
            log.error(text, self.host, self._pause.deaths, seconds)

    def workers(self) -> list[Worker]:
        """Those that get requests."""
        with self._changed:
            return list(self._workers)

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
            for worker in list(self._workers):
                self._dismiss(worker)
        log.info("%s: worker given back after %g s idle", self.host, self._settings.idle_timeout)

    def close(self) -> None:
        """Lend no more and end the workers, after the requests that they have."""
        with self._changed:
            self._closed = True
            for worker in list(self._workers):
                self._dismiss(worker)
            self._changed.notify_all()

    def ended(self, timeout: float) -> bool:
        """Wait until no process of the release is left; whether that is so."""
        return self._supervisor.ended(self, timeout)
