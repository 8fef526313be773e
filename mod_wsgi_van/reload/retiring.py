"""Retires the releases that were replaced: once the last of their requests is over, or after grace.

Owned by the reload thread, but for the callback of a lease that goes: that runs in whichever thread
dropped the last environ and only writes to the mailbox.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
import weakref
from dataclasses import dataclass, field

from mod_wsgi_van.isolation.contract import Instance
from mod_wsgi_van.lines import escape, marked
from mod_wsgi_van.reload.mailbox import Mailbox
from mod_wsgi_van.sites.release import Lease, Release
from mod_wsgi_van.sites.site import Site

log = logging.getLogger(__name__)

# Threads that retire releases at shutdown: an exit handler that hangs holds up one of them.
_AT_ONCE = 8


@dataclass(eq=False, slots=True)
class Retirement:
    """A release on its way out; holds no reference that would keep its lease alive."""

    site: Site
    directory: str
    instance: Instance
    deadline: float  # monotonic
    lease: weakref.ref[Lease] | None = field(default=None)
    done: threading.Event = field(default_factory=threading.Event)


class Retiring:
    """The retirements under way; ``announce`` is called from any thread, the rest by the owner.

    ``_under_way`` is added to and discarded from atomically, and read as a copy.
    """

    def __init__(self, grace_period: float, mailbox: Mailbox) -> None:
        self._grace_period = grace_period
        self._mailbox = mailbox
        self._under_way: set[Retirement] = set()
        self._ended = False

    def announce(self, site: Site, release: Release) -> Retirement:
        """Retire ``release`` when it is out of use; the caller must let go of it at once.

        Called from the thread that replaced it. ``done`` is set when it has been retired.
        """
        directory = release.state.directory
        deadline = time.monotonic() + self._grace_period
        retirement = Retirement(site, directory, release.instance, deadline)
        notify = self._mailbox.put
        # The callback must not need anything that another thread may be changing.
        retirement.lease = weakref.ref(release.lease, lambda _: notify(retirement))
        self._under_way.add(retirement)
        notify(retirement)
        if self._ended:  # nobody reads the mailbox any more
            self._retire(retirement)
        return retirement

    def count(self, site: Site) -> int:
        """Return how many releases of a site have requests that go on; from any thread."""
        return sum(each.site is site for each in self._under_way.copy())

    def take(self, retirement: Retirement) -> None:
        """Act on a retirement when its lease is gone."""
        # Without a reference it ran already, after the grace period.
        if retirement.lease is not None and retirement.lease() is None:
            self._retire(retirement)

    def next_deadline(self) -> float | None:
        return min((each.deadline for each in self._under_way.copy()), default=None)

    def expire(self, now: float) -> None:
        """Retire what has outlasted the grace period."""
        for retirement in [each for each in self._under_way.copy() if each.deadline <= now]:
            log.info(
                "%s: retiring %s with requests still under way: the grace period of %g s is over",
                retirement.site.host,
                escape(retirement.directory),
                self._grace_period,
            )
            self._retire(retirement)

    def rest(self) -> list[tuple[Site, Instance]]:
        """At shutdown: return what is left, with its site; it is the caller's to retire.

        What is announced from now on is retired at once, without waiting for its requests.
        """
        self._ended = True
        left = self._under_way.copy()
        for each in left:
            each.done.set()
        return [(each.site, each.instance) for each in left]

    def _retire(self, retirement: Retirement) -> None:
        self._under_way.discard(retirement)
        retirement.lease = None
        retire(retirement.site, retirement.instance, retirement.done)


def retire(site: Site, instance: Instance, done: threading.Event | None = None) -> None:
    """Retire in a thread of its own: an exit handler is an application's code and may hang."""
    name, given = f"van-retire-{site.host}", (site, instance, done)
    try:
        threading.Thread(target=_retire, args=given, name=name, daemon=True).start()
    except RuntimeError:  # no thread to be had
        _retire(*given)


def end(site: Site, instance: Instance, timeout: float) -> None:
    """Retire, and wait until nothing of it runs."""
    _retire(site, instance)
    instance.ended(timeout)


def retire_all(releases: list[tuple[Site, Instance]], timeout: float) -> None:
    """Retire many, a few at a time; give up on what takes longer than ``timeout`` seconds."""

    def work() -> None:
        with contextlib.suppress(IndexError):  # none left
            while True:
                _retire(*releases.pop())

    threads = []
    try:
        for _ in range(min(len(releases), _AT_ONCE)):
            thread = threading.Thread(target=work, name="van-retire", daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:  # no thread to be had, or the interpreter is ending
        if not threads:
            work()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if releases:
        log.warning("VAN010: %d releases could not be retired in %g s", len(releases), timeout)


def _retire(site: Site, instance: Instance, done: threading.Event | None = None) -> None:
    try:
        site.retired(ended=instance.retire())
    except BaseException:
        text = "%s: VAN010: an old release could not be retired cleanly\n%s"
        log.error(text, site.host, marked(site.host, traceback.format_exc()))
    finally:
        if done is not None:
            done.set()
