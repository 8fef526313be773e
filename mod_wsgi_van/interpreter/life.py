"""The process around the router: its interpreter, its end, its forked children.

The only module that knows mod_wsgi, and it needs none.
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mod_wsgi_van.wsgi import Environ

log = logging.getLogger(__name__)


def warn_of_interpreter(environ: Environ) -> None:
    """Warn when mod_wsgi runs this script in a sub-interpreter."""
    group = environ.get("mod_wsgi.application_group")
    if group:
        log.warning(
            "VAN012: running in the sub-interpreter %r: extension modules may refuse to load, and"
            " without a fixed name each port that a client names gets a router of its own; set"
            " WSGIApplicationGroup %%{GLOBAL}",
            group,
        )


Notes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server tells: its threads in this process, and its notes on requests under way."""

    threads: int = 0  # 0: not told
    active: dict[str, Notes] = field(default_factory=dict)  # a dict of notes by request
    notes: Callable[[], Notes] = dict  # of the request in this thread
    name: str = ""
    process_group: str = ""


def server() -> ServerState:
    """mod_wsgi's, or one that tells nothing."""
    try:
        import mod_wsgi  # type: ignore[import-not-found]  # there only inside Apache

        return ServerState(
            mod_wsgi.threads_per_process,
            mod_wsgi.active_requests,
            mod_wsgi.request_data,
            "mod_wsgi " + ".".join(map(str, getattr(mod_wsgi, "version", ()))),
            getattr(mod_wsgi, "process_group", ""),
        )
    except (ImportError, AttributeError):
        return ServerState()


def at_exit(shutdown: Callable[[], None]) -> None:
    """Have a bound method called when the process ends; until then atexit keeps its object.

    By mod_wsgi where it tells: atexit does not run in its sub-interpreters.
    """
    try:
        import mod_wsgi
    except ImportError:
        subscribe = None
    else:
        subscribe = getattr(mod_wsgi, "subscribe_shutdown", None)
    if subscribe is not None:
        call = _weakly(shutdown)  # mod_wsgi never lets go of a callback
        subscribe(lambda *event, **details: call())
    atexit.register(shutdown)


def after_fork(callback: Callable[[], None]) -> None:
    """Have a bound method called in every forked child, as long as its object lives."""
    os.register_at_fork(after_in_child=_weakly(callback))


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def call() -> None:
        found = reference()
        if found is not None:
            found()

    return call
