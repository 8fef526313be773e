"""The running parts behind one router in one process, wired together, started and ended.

They start with the first request: a parent that preloads the router and forks would otherwise
share its inotify descriptor with children that have none of its threads.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from pathlib import Path

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.interpreter import life
from mod_wsgi_van.interpreter import log as logs
from mod_wsgi_van.interpreter.interval import hurry
from mod_wsgi_van.reload.attempts import Answers, Attempts
from mod_wsgi_van.reload.loader import Loader
from mod_wsgi_van.reload.mailbox import Mailbox, Stale
from mod_wsgi_van.reload.maintenance import Maintenance
from mod_wsgi_van.reload.parts import Parts
from mod_wsgi_van.reload.retiring import Retiring, retire_all
from mod_wsgi_van.reload.thread import ReloadThread
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.sites.release import Answer, Release
from mod_wsgi_van.sites.shares import Shares
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.sites.table import Sites
from mod_wsgi_van.status.listener import Listener
from mod_wsgi_van.status.report import Report
from mod_wsgi_van.watch import Watcher
from mod_wsgi_van.wsgi import Environ

log = logging.getLogger(__name__)

# Seconds for all of a shutdown: mod_wsgi kills a daemon process that takes more than 5
# (shutdown-timeout), and its own end takes a part of them. What each step may take of it at most:
_SHUTDOWN = 4.0
_THREADS = 0.5  # the watcher and the reload thread
_FIRST_LOADS = 1.0  # first loads whose requests wait, as at a graceful restart
_RETIRING = 1.0  # exit handlers; the workers have what is left
_GENTLY = 0.05  # seconds between two looks whether a superseded router's requests are over
_COMPLAINTS = 1000  # different ones that are remembered, so that each is said once


class Engine:
    """Starts, wires and ends the parts. ``_lock`` guards which of that has been done."""

    def __init__(self, loader: Loader, answers: Answers, settings: Settings) -> None:
        self._loader = loader
        self._answers = answers
        self._settings = settings
        self._lock = threading.Lock()
        self._running = False
        self._stopped = False
        self._hooked = False
        self._complained: dict[str, None] = {}
        self.sites = Sites()
        self.shares = Shares(life.server(), settings.server_threads, self.sites)
        self._watcher = Watcher(
            self._stale,
            ignore=Ignore(settings.watch_ignore),
            update_interval=settings.update_interval,
            setting=settings.watch,
        )
        self._assemble()
        life.after_fork(self.after_fork)  # before anybody can hold a lock

    def _assemble(self) -> None:
        """Make the parts that have state of one process; see ``after_fork``."""
        settings, mailbox = self._settings, Mailbox()
        retiring = Retiring(settings.grace_period, mailbox)
        owned = settings.site_user == "owner"
        maintenance = Maintenance(self.sites, self._answers.maintenance, owned=owned)
        self._parts = Parts(self.sites, self._loader, self._watcher, mailbox, retiring, maintenance)
        self._attempts = Attempts(self._parts, self._answers, settings)
        self._reloads: ReloadThread | None = None
        self._listener: Listener | None = None

    def _stale(self, key: str) -> None:
        self._parts.mailbox.put(Stale(key))

    def release(self, host: str, path: Path) -> tuple[Site, Release | Answer | None]:
        """Return the site of a vhost and what answers for it, loading it where need be.

        None when the load has not ended within load_timeout, or the engine is stopped. Raises
        RuntimeError when no thread is to be had.
        """
        while True:
            site = self.sites.site(host, path)
            release = site.answer
            if release is not None or self._stopped:
                return site, release
            attempt = self._attempts.first(site)
            if attempt is not None:
                left = min(attempt.deadline - time.monotonic(), self._settings.load_timeout)
                if not attempt.answered.wait(max(0.0, left)):
                    self._attempts.late()
                    return site, None

    def start(self, environ: Environ) -> None:
        """Start the threads of this process, once; from a request thread.

        Raises errors.WatchError when ``watch="inotify"`` cannot be had, RuntimeError when a thread
        cannot; the next request tries again.
        """
        if self._running or self._stopped:
            return
        with self._lock:
            if self._running or self._stopped:
                return
            logs.ensure()
            life.warn_of_interpreter(environ)
            self._watcher.start()
            reloads = ReloadThread(self._parts, self._attempts, self._settings)
            reloads.start(self._settings.base_path)
            self._reloads = reloads
            self._listener = self._listen()
            if not self._hooked:
                self._hooked = True
                life.at_exit(self.shutdown)
            self._running = True

    def _listen(self) -> Listener | None:
        """Let others ask for the status, where the administrator wants that."""
        directory, group = self._settings.status_directory, self._settings.status_group
        report = Report(self._parts, self._attempts, self._settings)
        try:
            listener = Listener(directory, group, report.answer, report.look)
            listener.start()
        except FileNotFoundError:
            log.info("nobody can ask for the status: there is no directory %s", directory)
        except (OSError, RuntimeError) as error:
            log.warning(
                "VAN046: nobody can ask for the status: no socket can be made in %s: %s; let the"
                " daemon's user write there",
                directory,
                error,
            )
        else:
            return listener
        return None

    def complain(self, text: str) -> None:
        """Log an error that requests meet once, as long as few different ones come."""
        if text not in self._complained and len(self._complained) < _COMPLAINTS:
            self._complained[text] = None
            log.error("%s", text)

    def supersede(self) -> None:
        """End as one whose script was loaded again: requests under way have the grace period.

        Returns at once; a thread does the rest.
        """
        if self._listener is not None:
            self._listener.stop(0)
        if self._running:
            log.info("a newer router of the same script serves %s", self._settings.base_path)
            threading.Thread(target=self._end_gently, name="van-retire", daemon=True).start()
        else:
            self.shutdown()

    def _end_gently(self) -> None:
        deadline = time.monotonic() + self._settings.grace_period
        while time.monotonic() < deadline and not self.calm():
            time.sleep(_GENTLY)
        self.shutdown()

    def calm(self) -> bool:
        """Whether no request has a release: its environ would hold the lease besides us."""
        unused = Answer(self._answers.failed.application)
        count = sys.getrefcount(unused.lease)
        releases = [site.release for site in self.sites if isinstance(site.release, Release)]
        return all(sys.getrefcount(release.lease) <= count for release in releases)

    def shutdown(self) -> None:
        """End the threads, retire all releases and end what the isolations own.

        First loads that requests wait for have a moment to end, and answer.
        """
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        deadline = time.monotonic() + _SHUTDOWN
        atexit.unregister(self.shutdown)
        self._loader.closing()
        if self._listener is not None:
            self._listener.stop(_THREADS)
        self._watcher.stop()
        if self._reloads is not None:
            self._reloads.stop(_THREADS)
        self._attempts.drain(_FIRST_LOADS)
        current = [(site, release.instance) for site, release in self.sites.close()]
        retire_all([*current, *self._parts.retiring.rest()], _RETIRING)
        self._loader.shutdown(max(0.1, deadline - time.monotonic()))

    def after_fork(self) -> None:
        """In a forked child: forget the parent's threads; the next request starts new ones."""
        self._lock = threading.Lock()
        self._running = False
        hurry.after_fork()
        self.sites.after_fork()
        self.shares.after_fork()
        self._loader.after_fork()
        self._watcher.after_fork()
        if self._listener is not None:
            self._listener.after_fork()
        self._assemble()
