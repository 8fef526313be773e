"""The one table of settings: name, default, unit, check, help and scope of each.

Router has its class attributes, its constructor and its checks from this table. The options of the
command and the manual's page on settings are made from it too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

from mod_wsgi_van.hosts import Pattern

# Bytecode, what editors and rsync write on the way to the real file, VCS directories, environments,
# and data that applications write beside their code (Django's db.sqlite3, logs): no code in any of
# them. 4913 is the name with which Vim probes a directory, `.*.??????` what rsync writes to.
IGNORED = (
    *("__pycache__", "*.pyc", "*.pyo"),
    *("*.swp", "*.swo", "*.swx", "*~", "*.tmp", "*.bak", ".#*", "#*#", "4913"),
    *(".~*", ".*.??????", "___jb_*___"),
    *(".git", ".hg", ".svn", ".bzr", "CVS"),
    *(".venv", "venv", "node_modules", ".DS_Store", ".nfs*"),
    *("*.log", "*.log.*", "*.pid", "*.sock"),
    *("*.db", "*.sqlite", "*.sqlite3", "*-journal", "*-wal", "*-shm"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
)

WATCH = ("auto", "inotify", "polling")
ISOLATION = ("auto", "imports", "process")

# Seconds. Whatever is longer is taken for this: epoll_wait(2) counts milliseconds in 31 bits.
LONGEST = 1_000_000

# Checks: each returns a value as it is kept, or raises ValueError with what is wanted instead.


def _one_of(allowed: Sequence[str], value: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"allowed are {', '.join(map(repr, allowed))}")
    return value


def _number(whole: bool, zero: str, value: Any) -> Any:
    least = "0 or more" if zero else "more than 0"
    wanted = f"a {'whole number' if whole else 'number of seconds'} is wanted, {least}"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(wanted)
    if not 0 <= value < math.inf or not (value or zero):
        raise ValueError(wanted)
    return value if whole else min(value, LONGEST)


def _part(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a part is wanted, from 0 to 1")
    return float(value)


def _directory(value: Any) -> str:
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError("the path of a directory is wanted")
    return path


def _inside(value: Any) -> str:
    if not isinstance(value, str) or not value or os.path.isabs(value) or "\0" in value:
        raise ValueError("a path relative to the site's directory is wanted")
    if os.path.normpath(value).split(os.sep)[0] == os.pardir:
        raise ValueError("the path must not leave the site's directory")
    return value


def _identifier(kind: str, value: Any) -> str:
    dotted = isinstance(value, str) and kind == "module"
    for part in value.split(".") if dotted else [value]:
        if not isinstance(part, str) or not part.isidentifier():
            raise ValueError(f"the name of a Python {kind} is wanted")
    return str(value)


def _pattern(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string is wanted")
    return Pattern(value).pattern


def _names(value: Any) -> tuple[str, ...]:
    # One string is the mistake that is made most often.
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError("a sequence of strings is wanted, such as ['x']")
    items = tuple(value)
    for item in items:
        if not isinstance(item, str) or not item or "\0" in item:
            raise ValueError(f"{item!r} is not a name, glob or path")
    return items


def _paths(value: Any) -> tuple[str, ...]:
    paths = _names(value)
    for path in paths:
        if os.path.isabs(path):
            raise ValueError(f"{path!r} is not relative to the site's directory")
    return paths


def _variables(value: Any) -> tuple[str, ...]:
    variables = _names(value)
    for item in variables:
        if item.startswith("="):
            raise ValueError(f"{item!r} is neither a name, nor a glob, nor NAME=value")
    return variables


# Rows: a field of Settings whose metadata say the rest.

Scope = Literal["router", "process"]  # whose behaviour it sets: the router's, a site's workers'


def _row(
    default: Any, unit: str, check: Callable[[Any], Any], help: str, scope: Scope = "router"
) -> Any:
    metadata = {"unit": unit, "check": check, "help": help, "scope": scope}
    return field(default=default, metadata=metadata)


def _time(default: float, help: str, zero: str = "", scope: Scope = "router") -> Any:
    """``zero`` says what 0 means; without it 0 is not allowed."""
    return _row(default, "seconds", partial(_number, False, zero), _with_zero(help, zero), scope)


def _amount(default: int, unit: str, help: str, zero: str = "") -> Any:
    check = partial(_number, True, zero)
    return _row(default, unit, check, _with_zero(help, zero), "process")


def _choice(allowed: Sequence[str], help: str) -> Any:
    return _row(allowed[0], "choice", partial(_one_of, allowed), help)


def _with_zero(help: str, zero: str) -> str:
    return f"{help}; 0: {zero}" if zero else help


@dataclass(eq=False, repr=False)  # process_environ may hold secrets
class Settings:
    """All settings, checked; a wrong one raises ValueError, which says what is allowed."""

    base_path: str = _row("/var/www", "path", _directory, "directory of the sites")
    venv_name: str = _row(
        ".venv", "path", _inside, "environment of a site, relative to the site's directory"
    )
    wsgi_dir: str = _row(
        "wsgi", "path", _inside, "directory of the application, relative to the site's directory"
    )
    module_name: str = _row(
        "app", "name", partial(_identifier, "module"), "module to import from wsgi_dir"
    )
    object_name: str = _row(
        "app", "name", partial(_identifier, "object"), "WSGI callable in that module"
    )
    update_interval: float = _time(
        1.0,
        "time between two polls, where polling is needed, and between two questions to an override"
        " of get_version",
    )
    vhost_pattern: str = _row(
        "%0",
        "pattern",
        _pattern,
        "directory of a site, as mod_vhost_alias interpolates it: %0 is the whole host name;"
        " below base_path, or absolute; keep it the same as in VirtualDocumentRoot",
    )
    watch: str = _choice(
        WATCH,
        "auto, polling, or inotify, which refuses to start where there is none; the environment"
        " variable MOD_WSGI_VAN_WATCH goes first",
    )
    watch_paths: Sequence[str] = _row(
        (),
        "paths",
        _paths,
        "further files and directories, relative to the site's directory, whose change reloads it",
    )
    watch_ignore: Sequence[str] = _row(
        IGNORED, "globs", _names, "names whose change never reloads; replaces the default list"
    )
    settle: float = _time(
        0.1, "quiet time before an edit in place is taken", zero="it is taken at once"
    )
    sweep_interval: float = _time(
        60.0,
        "time between two looks at every loaded site, in case an event was lost; longer where the"
        " looks would take more than 0.05 % of a core",
        zero="never",
    )
    isolation: str = _choice(ISOLATION, "auto, imports (in this process) or process (a worker)")
    load_timeout: float = _time(30.0, "time after which requests stop waiting for a first load")
    grace_period: float = _time(
        30.0,
        "time that the requests of a replaced release have before its exit handlers run",
        zero="none",
    )
    waste_share: float = _row(
        0.25,
        "part",
        _part,
        "part of the daemon process's memory that replaced releases and other garbage may take"
        " while requests keep coming; then one collection, for which all sites wait, frees it;"
        " otherwise the first second without requests does",
    )
    process_threads: int = _amount(8, "count", "requests that one worker handles at once")
    processes_per_vhost: int = _amount(1, "count", "workers of one site, in each daemon process")
    queue_timeout: float = _time(
        10.0,
        "time that a request waits for a worker with room before its client gets 503",
        zero="it does not wait",
        scope="process",
    )
    request_timeout: float = _time(
        60.0,
        "time that a worker may take for the first and for each further block of a response; then"
        " the client gets 504 and the worker is replaced",
        zero="any",
        scope="process",
    )
    idle_timeout: float = _time(
        0.0,
        "time without a request after which a site gives its workers back",
        zero="never",
        scope="process",
    )
    max_requests: int = _amount(
        0, "count", "requests after which a worker is replaced by one that is loaded", zero="never"
    )
    shutdown_timeout: float = _time(
        3.0,
        "time that a worker may take to end before it is killed; so long may each exit handler of a"
        " replaced release take in this process, before the next one runs",
    )
    memory_limit: int = _amount(
        0,
        "bytes",
        "resident memory above which a worker is replaced; the kernel gives it twice as much at"
        " the most, and 10 MB for each thread",
        zero="any",
    )
    process_environ: Sequence[str] = _row(
        ("*",),
        "variables",
        _variables,
        "environment variables of workers: globs of names passed on, and NAME=value; PYTHON* and"
        " VIRTUAL_ENV are passed on by no glob",
        "process",
    )

    def __post_init__(self) -> None:
        for each in fields(Settings):
            value = getattr(self, each.name)
            try:
                setattr(self, each.name, each.metadata["check"](value))
            except ValueError as error:
                raise ValueError(f"{each.name}={value!r}: {error}") from None
