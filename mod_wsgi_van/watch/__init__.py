"""Watchers: they call back "this key may be stale" for the paths registered under a key."""

from __future__ import annotations

import os

from ..ignore import Ignore
from .contract import Stale, Target, Watcher
from .polling import Polling

__all__ = ["ENVIRONMENT", "SETTINGS", "Stale", "Target", "Watcher", "open_watcher"]

SETTINGS = ("auto", "inotify", "polling")
ENVIRONMENT = "MOD_WSGI_VAN_WATCH"


def open_watcher(setting: str, stale: Stale, *, ignore: Ignore, update_interval: float) -> Watcher:
    """Return the watcher that ``setting``, or the environment variable before it, asks for.

    Nothing is opened and no thread runs before its ``start()``. Raises ValueError for a setting
    that does not exist.
    """
    setting = os.environ.get(ENVIRONMENT) or setting
    if setting not in SETTINGS:
        raise ValueError(f"watch must be one of {', '.join(SETTINGS)}, not {setting!r}")
    return Polling(stale, ignore=ignore, update_interval=update_interval)
