"""No test may leave a thread or a descriptor behind, and every warning is an error."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest


def _descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield
    if request.node.get_closest_marker("leaves_threads") is None:
        deadline = time.monotonic() + 10
        while left := set(threading.enumerate()) - threads:
            assert time.monotonic() < deadline, f"threads left behind: {left}"
            time.sleep(0.01)
    left_open = {
        name: target
        for name, target in _descriptors().items()
        if descriptors.get(name) != target and not target.startswith("/proc/")
    }
    assert not left_open, f"descriptors left behind: {left_open}"
