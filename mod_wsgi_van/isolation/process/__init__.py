"""A worker process per release, in the site's own Python.

A ``Starter`` starts the workers of one release, or has them ``hired`` from the ``spawner``, which
is a script and a process of its own. Each runs the script ``worker`` and is ready when it has
imported the application. The ``Pool`` of the release lends its workers to requests. An ``exchange``
sends one request over a socket of its own (``frames``) and passes the response on. One
``Supervisor`` thread looks after the output and the end of all workers. What the router has of one
worker is its ``handle``; the supervisor knows a pool only as the ``Owner`` of a handle.
"""

from __future__ import annotations

import threading
import weakref

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.process.exchange import ProcessInstance
from mod_wsgi_van.isolation.process.pool import Pool
from mod_wsgi_van.isolation.process.supervisor import Supervisor
from mod_wsgi_van.settings import Settings


class ProcessIsolation:
    """Keeps sites apart by processes."""

    name = "process"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor = Supervisor(settings)
        self._lock = threading.Lock()  # guards _pools
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()

    def load(self, source: Source) -> ProcessInstance:
        """Returns when the workers have imported the application; raises errors.LoadError."""
        pool = Pool(source, source.settings or self._settings, self._supervisor)
        with self._lock:
            self._pools.add(pool)
        pool.open()
        return ProcessInstance(pool)

    def closing(self) -> None:
        """Nothing to spare: retiring a release only tells its workers."""

    def shutdown(self, timeout: float) -> None:
        """End all workers; what they were asked is answered if there is time for it."""
        with self._lock:
            pools = list(self._pools)
        for pool in pools:
            pool.close()
        self._supervisor.stop(timeout)

    def after_fork(self) -> None:
        """In a child: a release that the parent loaded starts workers of the child's own."""
        self._lock = threading.Lock()
        self._supervisor.after_fork()
        for pool in list(self._pools):
            pool.after_fork()
