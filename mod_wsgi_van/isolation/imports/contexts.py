"""Context variables of a release, and what the server's threads keep of them.

A value that an application sets outside ``Context.run`` (Django does, with each request) stays in
the context of the server's thread for ever, and with it the release that the value belongs to.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Iterable
from functools import partial
from types import GenericAlias
from typing import Any

from mod_wsgi_van.interpreter.collector import collector
from mod_wsgi_van.interpreter.leftovers import leave_to
from mod_wsgi_van.isolation.imports.internals import context_of

Made = list["contextvars.ContextVar[Any]"]


class _Instances(type):
    """What the real class makes counts as made by the release's."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, contextvars.ContextVar)


def private_contextvar(made: Made) -> type:
    """The class ``ContextVar`` of a release: ``made`` lists the variables that live."""
    limit = 64

    def remember(variable: contextvars.ContextVar[Any]) -> None:
        """A ContextVar has no weak references: drop those that nobody else has, now and then."""
        nonlocal limit
        made.append(variable)
        if len(made) > limit:
            # One reference is the list's, one the loop's, one getrefcount's.
            made[:] = [one for one in made if sys.getrefcount(one) > 3]
            limit = 2 * len(made) + 64

    class ContextVar(metaclass=_Instances):
        __doc__ = contextvars.ContextVar.__doc__
        __module__ = "_contextvars"
        __qualname__ = "ContextVar"
        __class_getitem__: Any = classmethod(GenericAlias)

        def __new__(cls, name: str, **default: Any) -> Any:
            variable: contextvars.ContextVar[Any] = contextvars.ContextVar(name, **default)
            remember(variable)
            return variable

    return ContextVar


def forget_values(made: Iterable[contextvars.ContextVar[Any]]) -> None:
    """Set the variables to None wherever they have a value.

    Another thread's context can be had from the garbage collector alone. It can be entered where C
    code made the thread. A thread that Python made is in its context from the beginning to the end
    (Python 3.14), so it does that itself, at its next request. Any other that is entered is in use,
    and goes when left.
    """
    variables = list(made)
    if not variables:
        return
    for context in collector.instances(contextvars.Context):
        having = [each for each in variables if context.get(each) is not None]
        try:
            for variable in having:
                context.run(variable.set, None)
        except RuntimeError:
            for thread in threading.enumerate():
                if context_of(thread) is context:
                    leave_to(thread, f"context {id(made)}", partial(_forget_here, having))


def _forget_here(variables: list[contextvars.ContextVar[Any]]) -> None:
    here = contextvars.copy_context()
    for variable in variables:
        if here.get(variable) is not None:
            variable.set(None)
