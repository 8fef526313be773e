"""What the threads that load and reload share."""

from __future__ import annotations

from dataclasses import dataclass

from mod_wsgi_van.reload.loader import Loader
from mod_wsgi_van.reload.mailbox import Mailbox
from mod_wsgi_van.reload.maintenance import Maintenance
from mod_wsgi_van.reload.retiring import Retiring
from mod_wsgi_van.sites.table import Sites
from mod_wsgi_van.watch import Watcher


@dataclass(frozen=True, slots=True)
class Parts:
    """The shared parts of one process; each says who may call it."""

    sites: Sites
    loader: Loader
    watcher: Watcher
    mailbox: Mailbox
    retiring: Retiring
    maintenance: Maintenance
