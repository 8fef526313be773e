"""The memory of all threads comes from one place."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, threading
from mod_wsgi_van.interpreter.allocation import share_arena
libc = ctypes.CDLL(None)
share_arena()
together = threading.Barrier(8)
def work():
    together.wait(30)
    kept = [bytearray(5000) for _ in range(1000)]
    together.wait(30)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.parametrize(("variable", "shared"), [({}, True), ({"MALLOC_ARENA_MAX": "4"}, False)])
def test_threads_share_one_arena(variable: dict[str, str], shared: bool) -> None:
    environ = {key: value for key, value in os.environ.items() if "MALLOC" not in key}
    done = subprocess.run(
        [sys.executable, "-c", ARENAS],
        env=environ | variable, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout.count("<heap nr=") == 1) is shared
