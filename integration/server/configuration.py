"""A whole httpd configuration around a block of the manual."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from integration.server import pages
from integration.server.flavours import MODULES, Flavour

Changes = tuple[tuple[str, str], ...]

# mpm_event and authz_core are what any httpd 2.4 needs; the rest is what the manual asks for.
LOADED = ("mpm_event", "authz_core", "alias", "rewrite", "vhost_alias")

# Embedded mode: a router in each child. One child, so that a test knows which router answers, and
# room for the next generation beside it when httpd restarts gracefully.
ONE_CHILD = (
    "StartServers 1",
    "ServerLimit 4",
    "ThreadsPerChild 64",
    "MaxRequestWorkers 256",
    "MinSpareThreads 1",
    "MaxSpareThreads 256",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories that stand for /var/www, /etc/mod_wsgi_van and httpd's own."""

    root: Path
    port: int
    base: Path = field(init=False)
    etc: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", self.root / "www")
        object.__setattr__(self, "etc", self.root / "etc")


def configuration(
    layout: Layout,
    flavour: Flavour,
    mode: str,
    changes: Changes = (),
    modules: tuple[str, ...] = (),
) -> str:
    """The text of httpd.conf: the manual's block with ``changes``, made as an admin would.

    ``modules`` are loaded besides those that the block needs.
    """
    changed = pages.replaced(pages.block(f"apache:{mode}"), *changes)
    site = pages.replaced(
        changed,
        ("/var/www", str(layout.base)),
        ("/etc/mod_wsgi_van", str(layout.etc)),
        ("/opt/mod_wsgi_van", str(flavour.home)),
        ("/var/log/apache2", str(layout.root)),
        ("*:80>", f"*:{layout.port}>"),
    )
    return surroundings(layout, flavour, LOADED + modules) + site


def write_wsgi_file(layout: Layout, settings: str = "", changes: Changes = ()) -> None:
    """The manual's wsgi file, with the settings in the script."""
    call = f'Router(base_path="{layout.base}"{", " if settings else ""}{settings})'
    text = pages.replaced(pages.block(pages.WSGI), ("Router.from_config()", call), *changes)
    layout.etc.mkdir(exist_ok=True)
    (layout.etc / "app.wsgi").write_text(text)


def surroundings(layout: Layout, flavour: Flavour, modules: tuple[str, ...] = LOADED) -> str:
    """What stands before a virtual host in httpd.conf; ``modules`` are loaded beside mod_wsgi."""
    lines = [
        f'DefaultRuntimeDir "{layout.root}"',
        f'PidFile "{layout.root}/httpd.pid"',
        f'ErrorLog "{layout.root}/error.log"',
        f'WSGISocketPrefix "{layout.root}/wsgi"',
        "LogLevel warn wsgi:info",
        *ONE_CHILD,
        "ServerName localhost",
        f"Listen 127.0.0.1:{layout.port}",
        "<Directory />",
        "Require all denied",
        "</Directory>",
    ]
    loads = [f'LoadModule {name}_module "{MODULES}/mod_{name}.so"' for name in modules]
    loads.append(f'LoadModule wsgi_module "{flavour.module}"')
    users = ["User www-data", "Group www-data"] if os.geteuid() == 0 else []
    # LoadModule first: the other lines are those modules' directives.
    return "\n".join([*loads, *users, *lines, ""])
