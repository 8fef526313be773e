"""The Isolation that loads releases into this process, each with imports of its own."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from typing import Any

from mod_wsgi_van.errors import BadObject, LoadError
from mod_wsgi_van.interpreter.collector import collector
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.building import add_site_packages, build
from mod_wsgi_van.isolation.imports.contexts import Made, forget_values
from mod_wsgi_van.isolation.imports.failure import import_failed
from mod_wsgi_van.isolation.imports.forks import replacements
from mod_wsgi_van.isolation.imports.purge import purge
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.imports.system import System
from mod_wsgi_van.wsgi import Application

_log = logging.getLogger(__name__)


class ImportsIsolation:
    """Loads releases with a private import system each. ``_lock`` guards the counters."""

    name = "imports"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hooked = False
        self._closing = False
        self._ended = False
        self._living = 0
        self._retired = 0
        self._variables: Made = []

    def load(self, source: Source) -> ImportsInstance:
        """Import the application; raises errors.LoadError, whatever its code raises."""
        internals.check()
        with self._lock:
            if self._ended:
                raise LoadError(f"{source.host}: the router has been shut down")
            if not self._hooked:
                replacements.install()
                self._hooked = True
        system, application, error = _load(source)
        if error is None:
            with self._lock:
                self._living += 1
            return ImportsInstance(self, system, application)
        if system is not None:
            _retire(system)
            variables = system.context_variables
            del system
            self.collect(variables)
        raise error

    def closing(self) -> None:
        """Run no collection any more: one for each release would take long."""
        with self._lock:
            self._closing = True

    def shutdown(self, timeout: float) -> None:
        """Give the interpreter back the functions that were replaced at the first load."""
        with self._lock:
            self._ended = True
            hooked, self._hooked = self._hooked, False
        if hooked:
            replacements.uninstall()

    def after_fork(self) -> None:
        """Nothing to forget: a release works in a child as it did in the parent."""
        self._lock = threading.Lock()

    def collect(self, variables: Made, living: int = 0) -> None:
        """Free what has been retired; ``living`` is the change in the number of loaded releases.

        A release is one large reference cycle, which a collection frees. It looks at the objects of
        all loaded releases and keeps the GIL meanwhile, so it runs when more than an eighth as many
        releases have been retired as are loaded. (Python's own collections begin while objects are
        made, and an idle daemon makes none.)
        """
        with self._lock:
            self._living += living
            self._retired += 1
            self._variables += variables
            due = self._retired * 8 > self._living and not self._closing
            if due:
                self._retired = 0
                variables, self._variables = self._variables, []
        if due:
            forget_values(variables)
            del variables
            collector.collect()


class ImportsInstance:
    """One release in this process."""

    def __init__(self, isolation: ImportsIsolation, system: System, application: Any) -> None:
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

    def retire(self) -> None:
        """Run the exit handlers and let go of the release."""
        with self._lock:
            isolation, self._isolation = self._isolation, None
            system, self._system = self._system, None
            self._application = None
        if isolation is not None and system is not None:
            _retire(system)
            variables = system.context_variables
            del system  # or the collection would find it in use
            isolation.collect(variables, living=-1)


def _load(source: Source) -> tuple[Any, Any, LoadError | None]:
    """The system, the application, and what went wrong.

    The error is returned, not raised from what the application raised: its traceback would keep
    all of the release.
    """
    system = None
    try:
        system = build(source)
        add_site_packages(system, source.site_packages)
        module = system.import_module(source.module_name)
    except BaseException as exc:  # an application may exit, or interrupt itself
        return system, None, import_failed(source, exc)
    try:
        application = getattr(module, source.object_name)
    except BaseException as exc:
        if isinstance(exc, AttributeError):
            return system, None, _bad_object(source, module, "is missing")
        return system, None, import_failed(source, exc)
    if not callable(application):
        what = f"is not callable, but of type {type(application).__name__}"
        return system, None, _bad_object(source, module, what)
    return system, application, None


def _bad_object(source: Source, module: Any, what: str) -> BadObject:
    file = getattr(module, "__file__", None)
    place = file or source.directory
    names = sorted(
        name for name, value in vars(module).items() if callable(value) and name[0] != "_"
    )
    there = ", ".join(names[:10]) or "nothing"
    return BadObject(
        f"{source.host}: object {source.object_name!r} in {place} {what}; callable there: {there}",
        files=(file,) if isinstance(file, str) and os.path.isabs(file) else (),
    )


def _retire(system: System) -> None:
    def report(what: str) -> None:
        # As text: a handler that keeps records would keep the release with the exception.
        _log.error("%s: %s\n%s", system.host, what, traceback.format_exc().rstrip())

    try:
        system.run_exit_handlers(report)
        purge(system, report)
    finally:
        table.close(system.modules)
