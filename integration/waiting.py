"""Waiting for a condition with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

# Generous: a loaded machine with two cores is slow, and a test that waits fails only when broken.
DEADLINE = 30.0


def until(
    condition: Callable[[], bool],
    what: str,
    *,
    deadline: float = DEADLINE,
    pause: float = 0.01,
    tell: Callable[[], str] = str,
) -> None:
    """Return when ``condition()`` is true; after ``deadline`` seconds fail with ``tell()``."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}\n{tell()}")
        time.sleep(pause)
