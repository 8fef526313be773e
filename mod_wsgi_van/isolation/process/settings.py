"""What an administrator may set about worker processes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Settings of every worker process of a router. Times in seconds; 0 turns a limit off.

    ``process_threads``: requests that one worker handles at once.
    ``processes_per_vhost``: workers of one vhost, in each daemon process.
    ``queue_timeout``: how long a request waits for a worker with room before it gets 503.
    ``request_timeout``: how long the application may take for the first block of its response, and
    for each further one, before the client gets 504 and the worker is replaced.
    ``load_timeout``: how long a worker may take until its application is imported.
    ``shutdown_timeout``: how long a worker may take for requests under way and exit handlers before
    it is killed.
    ``idle_timeout``: without a request for so long a vhost gives its workers back; the next request
    starts one again.
    ``max_requests``: after so many a worker is replaced by a fresh one, which is loaded first.
    ``memory_limit``: bytes. A worker whose resident memory is above it is replaced in the same way.
    At twice as much, and 10 MB per thread for stacks, the kernel refuses it more (MemoryError).
    ``process_environ``: the environment variables that a worker gets: globs of names passed on from
    the router, and ``NAME=value``. PYTHON* and VIRTUAL_ENV are passed on by no glob.
    """

    process_threads: int = 8
    processes_per_vhost: int = 1
    queue_timeout: float = 10.0
    request_timeout: float = 60.0
    load_timeout: float = 30.0
    shutdown_timeout: float = 3.0
    idle_timeout: float = 0.0
    max_requests: int = 0
    memory_limit: int = 0
    process_environ: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        for name in ("process_threads", "processes_per_vhost", "max_requests", "memory_limit"):
            _check_number(name, getattr(self, name), (int,))
        for name in _TIMES:
            _check_number(name, getattr(self, name), (int, float))
        _check_environ(self.process_environ)


_TIMES = ("queue_timeout", "request_timeout", "load_timeout", "shutdown_timeout", "idle_timeout")
_POSITIVE = ("process_threads", "processes_per_vhost", "load_timeout", "shutdown_timeout")


def _check_number(name: str, value: float, types: tuple[type, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, types) or not math.isfinite(value):
        kind = "a whole number" if types == (int,) else "a number of seconds"
        raise ValueError(f"{name} must be {kind}, not {value!r}")
    if value < 0 or (value == 0 and name in _POSITIVE):
        least = "more than 0" if name in _POSITIVE else "0 or more"
        raise ValueError(f"{name} must be {least}, not {value!r}")


def _check_environ(value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(
            "process_environ must be a tuple of names, globs of names, or NAME=value,"
            f" not {value!r}"
        )
    for item in value:
        if not item or item.startswith("=") or "\0" in item:
            raise ValueError(f"process_environ: {item!r} is neither a name nor NAME=value")
