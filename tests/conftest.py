"""No test may leave a thread or a descriptor behind, and every warning is an error."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router


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


@pytest.fixture
def make_router(tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Make routers of ``tmp_path``, a subclass where given; they are shut down at the end."""
    made: list[Router] = []

    def make(cls: type[Router] = Router, **settings: Any) -> Router:
        settings.setdefault("base_path", str(tmp_path))
        settings.setdefault("update_interval", 0.1)
        made.append(cls(**settings))
        return made[-1]

    yield make
    for router in made:
        router.shutdown()
