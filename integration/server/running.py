"""A tree of vhosts with a private httpd in front of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from integration.server.configuration import (
    Changes,
    Layout,
    configuration,
    write_wsgi_file,
)
from integration.server.flavours import Flavour
from integration.server.httpd import Httpd
from integration.sites.tree import Tree
from tests.support.answer import Answer
from tests.support.connection import ask, free_port
from tests.support.environments import environment
from tests.support.places import new_directory


@dataclass(frozen=True, slots=True)
class Running:
    """What a test holds: where the vhosts are, the server, and how to ask it."""

    layout: Layout
    tree: Tree
    httpd: Httpd

    @property
    def port(self) -> int:
        return self.layout.port

    def ask(
        self, host: str, path: str = "/", *, method: str = "GET", body: bytes | None = None
    ) -> Answer:
        return ask(self.port, host, path, method=method, body=body)

    def touch_wsgi_file(self) -> None:
        (self.layout.etc / "app.wsgi").touch()

    def end(self) -> None:
        try:
            self.httpd.stop()
        finally:
            shutil.rmtree(self.layout.root)


def prepare(
    flavour: Flavour,
    mode: str,
    *,
    settings: str = "",
    changes: Changes = (),
    wsgi_changes: Changes = (),
    modules: tuple[str, ...] = (),
) -> Running:
    """A server that is configured and not started; ``end`` it in any case.

    ``mode`` is that of mod_wsgi, daemon or embedded; "workers" is daemon mode with a worker process
    for every vhost.
    """
    env = None
    if mode == "workers":
        mode, settings = "daemon", ", ".join(filter(None, [settings, 'isolation="process"']))
        env = environment(flavour.python, ())
    layout = Layout(new_directory(), free_port())
    tree = Tree(layout.base, env)
    write_wsgi_file(layout, settings, wsgi_changes)
    text = configuration(layout, flavour, mode, changes, modules)
    return Running(layout, tree, Httpd(layout.root, layout.port, text))
