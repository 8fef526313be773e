import threading
from unittest import mock

import things

lock = threading.Lock()


def run(turn):
    with lock, mock.patch("things.Thing.owner", "patched"):
        inside = things.Thing.owner
        with mock.patch("patched_module.VALUE", 5):
            import patched_module

            value = patched_module.VALUE
    return f"{inside} {things.Thing.owner} {value} {patched_module.VALUE}"
