"""Watching: who tells that what stands behind a key may have changed.

A watcher knows no vhosts, no releases and no versions.
"""

from mod_wsgi_van.watch.watcher import Watcher

__all__ = ["Watcher"]
