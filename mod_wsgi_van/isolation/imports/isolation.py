"""The Isolation that loads releases into this process, each with imports of its own."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

from mod_wsgi_van.errors import BadObject, LoadError
from mod_wsgi_van.interpreter.leftovers import undo
from mod_wsgi_van.interpreter.waste import waste
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.belongings import Belongings
from mod_wsgi_van.isolation.imports.building import add_site_packages, build
from mod_wsgi_van.isolation.imports.ending import Ending
from mod_wsgi_van.isolation.imports.failure import import_failed
from mod_wsgi_van.isolation.imports.forks import replacements
from mod_wsgi_van.isolation.imports.outliving import untie
from mod_wsgi_van.isolation.imports.purge import purge
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.imports.system import System
from mod_wsgi_van.isolation.process.worker import unfit
from mod_wsgi_van.lines import escape, marked
from mod_wsgi_van.wsgi import Application

_log = logging.getLogger(__name__)

# Seconds for each step of an end that somebody waits for.
_BRIEF = 0.25


class ImportsIsolation:
    """Loads releases with a private import system each. ``_lock`` guards the rest.

    ``idle`` says whether no request has come since it was asked last, ``calm`` whether none is
    under way, ``share`` is the setting ``waste_share``.
    """

    name = "imports"

    def __init__(
        self,
        idle: Callable[[], bool] = lambda: True,
        calm: Callable[[], bool] = lambda: True,
        share: float = 0.25,
        patience: float = 3.0,
    ) -> None:
        self.idle = idle
        self._calm = calm
        self.share = share
        self._patience = patience  # seconds, for each step of the end of a release
        self._lock = threading.Lock()
        self._loading = 0
        self._hooked = False
        self._closing = False
        self._ended = False

    def load(self, source: Source) -> ImportsInstance:
        """Import the application; raises errors.LoadError, whatever its code raises."""
        internals.check()
        with self._lock:
            if self._ended:
                raise LoadError(f"{source.host}: the router has been shut down")
            if not self._hooked:
                replacements.install()
                waste.join(self)
                self._hooked = True
            self._loading += 1
        try:
            system, name, application, error = _load(source)
        finally:
            with self._lock:
                self._loading -= 1
        undo()  # this thread may load another site next
        if error is None:
            waste.loaded()
            return ImportsInstance(self, system, application, source.entry(name))
        if system is not None:
            _retire(system, _BRIEF, patient=False)
            remains = Belongings(system)
            del system
            self.collect(remains, lived=False)
        raise error

    def calm(self) -> bool:
        """Whether no request is under way, and no load: the errors and frames of one that is would
        be kept when it has ended, and the release with them."""
        return self._loading <= 0 and self._calm()

    def closing(self) -> None:
        """Free nothing any more: each release would take a while."""
        with self._lock:
            self._closing = True
        waste.leave(self)

    def shutdown(self, timeout: float) -> None:
        """Give the interpreter back the functions that were replaced at the first load."""
        with self._lock:
            self._ended = True
            hooked, self._hooked = self._hooked, False
        if (thread := waste.leave(self)) is not None:
            thread.join(min(1.0, timeout))  # others have to end in that time too
        if hooked:
            replacements.uninstall()

    def after_fork(self) -> None:
        """A release works in a child as it did in the parent."""
        self._lock = threading.Lock()
        self._loading = 0
        waste.after_fork()

    def end(self, system: System) -> bool:
        """End a release that was loaded; return whether it has ended."""
        limit = min(_BRIEF, self._patience) if self._closing else self._patience
        return _retire(system, limit, patient=not self._closing)

    def collect(self, remains: Belongings, *, lived: bool = True) -> None:
        """Free what was retired, in the thread that retired it."""
        waste.retired(remains, lived=lived, now=not self._closing)


class ImportsInstance:
    """One release in this process."""

    def __init__(
        self, isolation: ImportsIsolation, system: System, application: Any, entry: str
    ) -> None:
        self.entry = entry
        self._isolation: ImportsIsolation | None = isolation
        self._system: System | None = system
        self._application: Application | None = application
        self._lock = threading.Lock()  # guards the change to retired

    @property
    def application(self) -> Application:
        """The application object itself; gone once retired."""
        if self._application is None:
            raise RuntimeError("this release has been retired")
        return self._application

    def retire(self) -> bool:
        """Run the exit handlers and let go of the release; return whether it has ended."""
        with self._lock:
            isolation, self._isolation = self._isolation, None
            system, self._system = self._system, None
            self._application = None
        if isolation is not None and system is not None:
            ended = isolation.end(system)
            remains = Belongings(system)
            del system  # or the collection would find it in use
            isolation.collect(remains)
            return ended
        return True

    def ended(self, timeout: float) -> bool:
        """What retire() has not ended does not end."""
        return True


def _load(source: Source) -> tuple[Any, str, Any, LoadError | None]:
    """The system, the object's name, the application, and what went wrong.

    The error is returned, not raised from what the application raised: its traceback would keep
    all of the release.
    """
    system, name, application, fault = None, "", None, ""
    try:
        system = build(source)
        add_site_packages(system, source.site_packages)
        module = system.import_module(source.module_name)
        name, application = _find(source, module)
        fault = unfit(application, source.factory) if name else "is missing"
        if source.factory and not fault:
            application = system.call(application)
            if fault := unfit(application):
                fault = f"returned what {fault}"
    except BaseException as exc:  # an application may exit, or interrupt itself
        return system, name, None, import_failed(source, exc)
    if fault:
        return system, name, None, _bad_object(source, module, name, fault)
    return system, name, application, None


def _find(source: Source, module: Any) -> tuple[str, Any]:
    """The first name that the module has, and its object."""
    for name in source.names:
        try:
            return name, getattr(module, name)
        except AttributeError:
            pass
    return "", None


def _bad_object(source: Source, module: Any, name: str, fault: str) -> BadObject:
    file = getattr(module, "__file__", None)
    place = file or source.directory
    wanted = " or ".join(map(repr, [name] if name else source.names))
    names = sorted(
        name for name, value in vars(module).items() if callable(value) and name[0] != "_"
    )
    there = ", ".join(names[:10]) or "nothing"
    return BadObject(
        f"{source.host}: object {wanted} in {place} {fault}; callable there: {there}",
        files=(file,) if isinstance(file, str) and os.path.isabs(file) else (),
    )


def _retire(system: System, limit: float, *, patient: bool) -> bool:
    """Return whether all of the release has ended; see Ending."""

    def report(what: str) -> None:
        # As text: a handler that keeps records would keep the release with the exception.
        text = marked(system.host, traceback.format_exc())
        _log.error("%s: %s\n%s", system.host, escape(what), text)

    try:
        going = Ending(system, limit, report, patient=patient).run()
        purge(system, report)
    finally:
        untie(system)
        table.close(system.modules)
    if going and patient:
        _log.warning(
            "%s: VAN040: the release of %s was replaced and goes on in %s: it stays in memory until"
            " that ends; end that in a function registered with atexit, or set"
            ' isolation="process" for the site',
            system.host,
            escape(system.directory),
            escape(", ".join(going)),
        )
    return not going
