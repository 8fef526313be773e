"""What is said about an application that could not be loaded."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from traceback import TracebackException
from typing import Any, TypeVar

from mod_wsgi_van.errors import ImportFailed
from mod_wsgi_van.isolation.contract import Source

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

Link = TypeVar("Link", BaseException, TracebackException)


def import_failed(source: Source, error: BaseException) -> ImportFailed:
    """The error for what the application's import raised; keeps no reference to ``error``."""
    described = TracebackException.from_exception(error)
    files = list(dict.fromkeys(_files(source, error)))
    for part in _chain(described):
        part.stack[:] = [frame for frame in part.stack if not _hidden(frame.filename)]
    what = "exited" if isinstance(error, SystemExit) else "failed"
    reason = " ".join("".join(described.format_exception_only()).split()[-60:])
    return ImportFailed(
        f"{source.host}: import of {source.module_name!r} from {source.directory} {what}: "
        f"{reason or type(error).__name__}",
        details="".join(described.format()),
        files=tuple(files),
    )


def _files(source: Source, error: BaseException) -> Iterator[str]:
    """Absolute paths whose change may mend it: what the traceback shows, and where a module that
    is missing would be installed."""
    missing = False
    for link in _chain(error):
        named = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(link.__traceback__)]
        if isinstance(link, SyntaxError) and isinstance(link.filename, str):
            named.append(link.filename)
        yield from (name for name in named if os.path.isabs(name) and not _hidden(name))
        missing = missing or isinstance(link, ModuleNotFoundError)
    if missing:
        yield from source.site_packages


def _chain(first: Link) -> Iterator[Link]:
    """``first`` with its causes, its contexts and what it groups, each once."""
    pending, seen = [first], set()
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        groups = isinstance(link, (BaseExceptionGroup, TracebackException))
        grouped: Any = link.exceptions if groups else ()  # type: ignore[attr-defined]
        chained = (link.__cause__, link.__context__, *(grouped or ()))
        pending.extend(other for other in chained if other is not None)


def _hidden(filename: str) -> bool:
    return filename.startswith(("<frozen ", _OURS))
