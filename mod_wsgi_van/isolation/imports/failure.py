"""What is said about an application that could not be loaded."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator

from mod_wsgi_van.errors import ImportFailed
from mod_wsgi_van.isolation.contract import Source

_OURS = os.path.dirname(os.path.abspath(__file__))


def import_failed(source: Source, error: BaseException) -> ImportFailed:
    """The error for what the application's import raised; keeps no reference to ``error``."""
    described = traceback.TracebackException.from_exception(error)
    files: dict[str, None] = {}
    missing = False
    for part in _parts(described):
        files.update(dict.fromkeys(_files(part)))
        part.stack[:] = [frame for frame in part.stack if not _hidden(frame.filename)]
    for chained in _chain(error):
        missing = missing or isinstance(chained, ModuleNotFoundError)
    if missing:
        files.update(dict.fromkeys(source.site_packages))
    kind = type(error).__name__
    what = "exited" if isinstance(error, SystemExit) else "failed"
    reason = " ".join("".join(described.format_exception_only()).split()[-60:])
    return ImportFailed(
        f"{source.host}: import of {source.module_name!r} from {source.directory} {what}: "
        f"{reason or kind}",
        details="".join(described.format()),
        files=tuple(files),
    )


def _parts(
    described: traceback.TracebackException,
) -> Iterator[traceback.TracebackException]:
    pending = [described]
    seen: set[int] = set()
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        chained = (part.__cause__, part.__context__, *(part.exceptions or ()))
        pending.extend(other for other in chained if other is not None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    pending = [error]
    seen: set[int] = set()
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        grouped = part.exceptions if isinstance(part, BaseExceptionGroup) else ()
        chained = (part.__cause__, part.__context__, *grouped)
        pending.extend(other for other in chained if other is not None)


def _files(part: traceback.TracebackException) -> Iterator[str]:
    named = [frame.filename for frame in part.stack if not _hidden(frame.filename)]
    if part.exc_type is not None and issubclass(part.exc_type, SyntaxError) and part.filename:
        named.append(part.filename)
    yield from (name for name in named if os.path.isabs(name))


def _hidden(filename: str) -> bool:
    return filename.startswith("<frozen ") or os.path.dirname(filename) == _OURS
