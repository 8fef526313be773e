"""Watchers: they call back "this key may be stale" for the paths registered under a key."""

from __future__ import annotations

import logging
import os

from mod_wsgi_van.files.ignore import Ignore
from mod_wsgi_van.watch.auto import Auto
from mod_wsgi_van.watch.contract import Stale, Watcher
from mod_wsgi_van.watch.inotify import InotifyWatcher
from mod_wsgi_van.watch.polling import Polling

__all__ = ["ENVIRONMENT", "SETTINGS", "Stale", "Watcher", "open_watcher"]

log = logging.getLogger(__name__)

SETTINGS = ("auto", "inotify", "polling")
ENVIRONMENT = "MOD_WSGI_VAN_WATCH"


def open_watcher(setting: str, stale: Stale, *, ignore: Ignore, update_interval: float) -> Watcher:
    """Return the watcher that ``setting``, or the environment variable before it, asks for.

    Nothing is opened and no thread runs before its ``start()``. Raises ValueError for a setting
    that does not exist.
    """
    wanted = os.environ.get(ENVIRONMENT)
    why = f"{ENVIRONMENT}={wanted}" if wanted else f'watch="{setting}"'
    setting = wanted or setting
    if setting not in SETTINGS:
        raise ValueError(f"watch must be one of {', '.join(SETTINGS)}; {why} is not")
    if setting == "polling":
        log.info("watching by polling every %s s: %s", update_interval, why)
        return Polling(stale, ignore=ignore, update_interval=update_interval)
    if setting == "inotify":
        log.info("watching with inotify: %s", why)
        return InotifyWatcher(stale, ignore=ignore)
    return Auto(stale, ignore=ignore, update_interval=update_interval)
