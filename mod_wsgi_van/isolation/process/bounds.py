"""The hard limits of a site's workers: from its settings, and what is said when one is reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mod_wsgi_van.isolation.process.spawner import Limits
from mod_wsgi_van.settings import Settings

STACK_BYTES = 10 * 1024 * 1024  # of address space for each thread's stack

KEYS = {
    "memory": "memory_limit",
    "tasks": "task_limit",
    "files": "file_limit",
    "weight": "cpu_weight",
}
# How a traceback ends where the kernel has refused something. A thread needs memory for its stack.
_SIGNS = (
    (r"MemoryError|OSError: \[Errno 12\]", ("memory",)),
    (r"RuntimeError: can't start new thread", ("tasks", "memory")),
    (r"OSError: \[Errno 24\]", ("files",)),
)
_FORK = re.compile(r"fork.*\n(?:[ ^~]*\n)?BlockingIOError: \[Errno 11\]")  # others have it of files


def limits_of(settings: Settings) -> Limits:
    memory = 2 * settings.memory_limit + (settings.process_threads + 2) * STACK_BYTES
    return Limits(
        memory=memory if settings.memory_limit else 0,
        tasks=settings.task_limit,
        files=settings.file_limit,
        weight=settings.cpu_weight if settings.cpu_weight != 100 else 0,
    )


def ways(kept: Mapping[str, str]) -> str:
    """What keeps which limit, for people; "" where none is set."""
    return ", ".join(f"{KEYS[name]} by {means}" for name, means in kept.items() if means)


def unkept(kept: Mapping[str, str]) -> str:
    """The limits that nothing keeps, for people."""
    return " and ".join(KEYS[name] for name, means in kept.items() if not means)


def reached(settings: Settings, hit: Iterable[str]) -> str:
    """Which of its limits a worker has reached, and what to do; "" for none."""
    keys = [KEYS[name] for name in hit if getattr(limits_of(settings), name)]
    values = " or ".join(f"{key} = {_amount(getattr(settings, key))}" for key in keys)
    return values and f"it has reached {values}; raise that, or find what takes so much"


def told(settings: Settings, traceback: str) -> tuple[str, ...]:
    """Which limits were reached, one of them, as the last lines of a traceback tell."""
    hit: tuple[str, ...] = ()
    last = traceback.rstrip().rpartition("\n")[2]
    for sign, meant in _SIGNS:
        if re.match(sign, last):
            hit = meant
    if _FORK.search(traceback[-2000:]):
        hit = ("tasks",)
    return tuple(name for name in hit if getattr(limits_of(settings), name))


def _amount(number: int) -> str:
    return f"{number >> 20}M" if number and not number % (1 << 20) else str(number)
