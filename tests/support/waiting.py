"""Waiting for a condition with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds. A loaded machine with two cores is slow, and what takes as long as this is broken.
DEADLINE = 60.0


def wait(
    condition: Callable[[], T],
    what: str = "the condition",
    seconds: float = DEADLINE,
    *,
    pause: float = 0.005,
    tell: Callable[[], str] = str,
) -> T:
    """Return the value of ``condition()`` once it is true; fail with ``tell()`` when it is not."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{tell()}"
        time.sleep(pause)
    return value
