"""The one table of settings: name, default, unit, check, help and scope of each.

Router has its class attributes, its constructor and its checks from this table. The keys of
van.toml, an administrator's and a site's, the options of the command and the manual's page on
settings are made from it too: a new row is all that a new setting needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import partial
from typing import Any

from mod_wsgi_van import checks
from mod_wsgi_van.checks import Values

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
SITE_USER = ("daemon", "owner")
RELOAD = ("swap", "restart")
SETUID = ("refused", "allowed")
ISOLATION = ("auto", "imports", "process")

_LOOSER = ("process", "auto", "imports")  # each trusts a site more than the one before

# Rows: a field of Settings whose metadata say the rest.
#
# unit, check, help
# scope    whose behaviour it sets: "router", or "process" for the workers of a site
# site     the key by which a site may set it, "" where it may not
# own      the check of a site's value, where that is another one
# rank     orders its values: a site gets no more than its administrator allows
# join     what becomes of the router's and a site's value; without it the site's counts


def _row(
    default: Any,
    unit: str,
    check: Callable[[Any], Any],
    help: str,
    scope: str = "router",
    **more: Any,
) -> Any:
    metadata = {"unit": unit, "check": check, "help": help, "scope": scope}
    return field(default=default, metadata={"site": "", "own": check, **metadata, **more})


def _time(default: float, help: str, zero: str = "", scope: str = "router", site: str = "") -> Any:
    """``zero`` says what 0 means; without it 0 is not allowed."""
    check = partial(checks.number, False, zero)
    text = _with_zero(help, zero)
    return _row(default, "seconds", check, text, scope, site=site, rank=_or_endless)


def _amount(
    default: int, unit: str, help: str, zero: str = "", scope: str = "process", site: str = ""
) -> Any:
    check = partial(checks.number, True, zero)
    text = _with_zero(help, zero)
    return _row(default, unit, check, text, scope, site=site, rank=_or_endless)


def _choice(allowed: Sequence[str], help: str, **more: Any) -> Any:
    return _row(allowed[0], "choice", partial(checks.one_of, allowed), help, **more)


def _with_zero(help: str, zero: str) -> str:
    return f"{help}; 0: {zero}" if zero else help


def _or_endless(value: float) -> float:
    return value or math.inf


def _both(routers: Sequence[str], sites: Sequence[str]) -> tuple[str, ...]:
    return (*routers, *sites)


def _merged(routers: Mapping[str, str], sites: Mapping[str, str]) -> Values:
    return Values({**routers, **sites})


@dataclass(eq=False, repr=False)  # process_environ may hold secrets
class Settings:
    """All settings, checked; a wrong one raises ValueError, which says what is allowed."""

    base_path: str = _row("/var/www", "path", checks.directory, "directory of the sites")
    venv_name: str = _row(
        ".venv", "path", checks.inside, "environment of a site, relative to the site's directory"
    )
    wsgi_dir: str = _row(
        "wsgi",
        "path",
        checks.inside,
        "directory of the application, relative to the site's directory",
    )
    module_name: str = _row(
        "app", "name", partial(checks.identifier, "module"), "module to import from wsgi_dir"
    )
    object_name: str = _row(
        "app", "name", partial(checks.identifier, "object"), "WSGI callable in that module"
    )
    update_interval: float = _time(
        1.0,
        "time between two polls, where polling is needed, and between two questions to an override"
        " of get_version",
    )
    vhost_pattern: str = _row(
        "%0",
        "pattern",
        checks.pattern,
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
        checks.paths,
        "further files and directories, relative to the site's directory, whose change reloads it",
        site="watch_paths",
        own=partial(checks.few, 32, checks.within),
        join=_both,
    )
    watch_ignore: Sequence[str] = _row(
        IGNORED,
        "globs",
        checks.names,
        "names whose change never reloads; replaces the default list, a site's adds to it",
        site="watch_ignore",
        own=partial(checks.few, 100, checks.names),
        join=_both,
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
    isolation: str = _choice(
        ISOLATION,
        "auto, imports (in this process) or process (a worker)",
        site="isolation",
        rank=_LOOSER.index,
    )
    load_timeout: float = _time(30.0, "time after which requests stop waiting for a first load")
    check: str = _row(
        "",
        "path",
        checks.request_path,
        "a GET of this path, such as /health, must be answered with a status below 500 within"
        " load_timeout before a release goes live; empty: none is asked",
        site="check",
    )
    reload: str = _choice(
        RELOAD,
        "swap loads a new release beside the old one; restart ends the old one before, for a site"
        " that can be only once, and requests wait meanwhile",
        site="reload",
    )
    grace_period: float = _time(
        30.0,
        "time that the requests of a replaced release have before its exit handlers run",
        zero="none",
    )
    waste_share: float = _row(
        0.25,
        "part",
        checks.part,
        "part of the daemon process's memory that replaced releases and other garbage may take"
        " while requests keep coming; then one collection, for which all sites wait, frees it;"
        " otherwise the first second without requests does",
    )
    process_threads: int = _amount(
        8, "count", "requests that one worker handles at once", site="threads"
    )
    max_concurrency: int = _amount(
        0,
        "count",
        "requests of one site that may be under way at once in each daemon process, running and"
        " waiting together; more get 503; a slow site gets no more than its share of the threads"
        " in any case",
        zero="its share",
        scope="router",
        site="max_concurrency",
    )
    server_threads: int = _amount(
        0,
        "count",
        "threads of the server in each process, of which every site gets a share",
        zero="what mod_wsgi says; with another server, no share is taken",
        scope="router",
    )
    processes_per_vhost: int = _amount(
        1, "count", "workers of one site, in each daemon process", site="processes"
    )
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
        site="request_timeout",
    )
    idle_timeout: float = _time(
        0.0,
        "time without a request after which a site gives its workers back",
        zero="never",
        scope="process",
        site="idle_timeout",
    )
    max_requests: int = _amount(
        0,
        "count",
        "requests after which a worker is replaced by one that is loaded",
        zero="never",
        site="max_requests",
    )
    shutdown_timeout: float = _time(
        3.0,
        "time that a worker may take to end before it is killed; so long may each exit handler of a"
        " replaced release take in this process, before the next one runs",
    )
    memory_limit: int = _row(
        0,
        "bytes",
        checks.size,
        "resident memory above which a worker is replaced, in bytes or as 300M; the kernel gives it"
        " twice as much at the most, and 10 MB for each thread; 0: any",
        "process",
        site="memory_limit",
        rank=_or_endless,
    )
    task_limit: int = _amount(
        0,
        "count",
        "processes and threads that a worker may have, with all that it starts; kept by a control"
        " group, or among all of its user's where workers run as the owners",
        zero="any",
        site="task_limit",
    )
    file_limit: int = _amount(
        0,
        "count",
        "descriptors that a worker may have open",
        zero="what the daemon has",
        site="file_limit",
    )
    cpu_weight: int = _row(
        100,
        "number",
        checks.weight,
        "part of the processors that a worker gets where others want them too, from 1 to 10000:"
        " with 50 half as much as others; without a control group by nice, and at most 100",
        "process",
        site="cpu_weight",
        rank=float,
    )
    setuid_programs: str = _choice(
        SETUID,
        "whether programs that a worker starts may gain privileges (setuid, setgid), as sudo and"
        " the sendmail of Postfix do: refused or allowed; refused wherever the spawner starts it",
        scope="process",
        site="setuid_programs",
        rank=SETUID.index,
    )
    process_environ: Sequence[str] = _row(
        ("*",),
        "variables",
        checks.variables,
        "environment variables of workers: globs of names passed on, and NAME=value; PYTHON* and"
        " VIRTUAL_ENV are passed on by no glob",
        "process",
    )

    site_user: str = _choice(
        SITE_USER,
        "whom applications run as: daemon, the user of the daemon; or owner, the owner of the"
        " site's directory, in workers that the spawner starts and nowhere else",
    )
    spawner_socket: str = _row(
        "/run/mod_wsgi_van/spawner", "path", checks.directory, "where the spawner listens"
    )
    daemon_user: str = _row(
        "www-data",
        "user",
        checks.user,
        "user of the daemon: nobody but this user and root may ask the spawner, and no site of this"
        " user gets a worker from it",
    )
    least_uid: int = _row(
        1000,
        "number",
        partial(checks.number, True, ""),
        "least number of a user whom the spawner starts a worker as",
    )

    status_directory: str = _row(
        "/run/mod_wsgi_van/status",
        "path",
        checks.directory,
        "where each daemon process listens for mod-wsgi-van status and the like; where there is no"
        " such directory, it does not",
    )
    status_group: str = _row(
        "",
        "group",
        checks.group,
        "whose members may ask besides the daemon's user; empty: the daemon's own group",
    )

    entry: str = _row(
        "",
        "module:object",
        checks.entry,
        "WSGI callable of a site, or module:factory() for a function that returns it; without one:"
        " app, else application, in app.py; else application in wsgi.py or passenger_wsgi.py",
        site="entry",
    )
    env: Mapping[str, str] = _row(
        Values(),
        "table",
        checks.env,
        "environment variables of a site, in either isolation; not PYTHON*, LD_* and VIRTUAL_ENV",
        site="env",
        join=_merged,
    )
    limits: Mapping[str, Any] = _row(
        Values(),
        "table",
        lambda value: checks.table(limit_checks(), value),
        "the most that a site may give itself in its van.toml; by default what the router has",
    )
    sites: Mapping[str, Mapping[str, Any]] = _row(
        Values(),
        "table",
        lambda value: checks.sites(decided_checks(), value),
        "what is decided for a site, by its name, and no more than that is for its van.toml to set;"
        " aliases are further names of the site",
    )

    def __post_init__(self) -> None:
        for each in fields(Settings):
            value = getattr(self, each.name)
            try:
                setattr(self, each.name, each.metadata["check"](value))
            except ValueError as error:
                shown = "" if isinstance(value, Mapping) else f"={value!r}"
                raise ValueError(f"{each.name}{shown}: {error}") from None


# What may stand in which table of van.toml: the check of each key.

Checks = dict[str, Callable[[Any], Any]]


def router_checks() -> Checks:
    """At the top of the administrator's."""
    return {each.name: each.metadata["check"] for each in fields(Settings)}


def site_rows() -> dict[str, Field[Any]]:
    """The rows that a site may set, by the keys of its van.toml."""
    return {site: each for each in fields(Settings) if (site := each.metadata["site"])}


def site_checks() -> Checks:
    return {key: row.metadata["own"] for key, row in site_rows().items()}


def limit_checks() -> Checks:
    """In ``[limits]``."""
    rows = site_rows().items()
    return {key: row.metadata["check"] for key, row in rows if row.metadata.get("rank")}


def decided_checks() -> Checks:
    """In ``[sites.NAME]``."""
    own = {key: row.metadata["check"] for key, row in site_rows().items()}
    return own | {"aliases": checks.aliases}
