import threading
from unittest import mock

lock = threading.Lock()


def run(turn):
    import patched_module

    with lock, mock.patch("patched_module.Patched.owner", "patched"):
        inside = patched_module.Patched.owner
        with mock.patch("patched_module.VALUE", 5):
            value = patched_module.VALUE
        return f"{inside} {value} {patched_module.VALUE} {me_again()}"


def me_again():
    import patched_module

    with mock.patch.object(patched_module.Patched, "owner", patched_module.me.NAME):
        return patched_module.Patched.owner
