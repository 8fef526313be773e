"""How the C library gives out memory in this process: for all threads from one place.

glibc gives threads arenas of their own. Each load and each end of a release has a thread, so what
one arena got back could not be used by the next release: a daemon process grew by 20 to 100 MB over
60 deploys of a Django site. Python's threads allocate one at a time, and wait for nobody.

Threads that a server started before keep their arenas, and new threads use these too: there only
the environment of the server helps.
"""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX = -8  # mallopt(3)


def share_arena() -> None:
    """Use one arena, unless the administrator has decided otherwise; glibc alone has them."""
    decided = {"MALLOC_ARENA_MAX", "MALLOC_ARENA_TEST", "GLIBC_TUNABLES"} & os.environ.keys()
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None and not decided:
        set_option(_M_ARENA_MAX, 1)
