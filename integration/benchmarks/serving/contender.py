"""Four ways to serve the same vhosts, each with a private httpd of its own in front."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable

from integration.server.configuration import Layout, surroundings
from integration.server.flavours import Flavour
from integration.server.httpd import ENVIRON, Httpd, daemons
from integration.server.running import Running, prepare
from integration.sites.libraries import FLASK3
from integration.sites.tree import Tree
from tests.support.children import descendants
from tests.support.connection import free_port
from tests.support.environments import environment
from tests.support.memory import private
from tests.support.places import new_directory

GUNICORN = ("gunicorn==23.0.0", *FLASK3)
THREADS = 8  # of a worker, a gunicorn worker, a daemon group
AS_WWW_DATA = ("--user=www-data", "--group=www-data")


class Contender(ABC):
    """One way to serve; ``deploy`` makes a release current, ``begin`` and ``renew`` start it."""

    name: str
    running: Running

    def __init__(self, flavour: Flavour) -> None:
        self.flavour = flavour
        self.hosts: list[str] = []
        self._flask = environment(flavour.python, FLASK3)

    def start(self) -> None:
        """Start httpd; ``end`` in any case."""
        self.running.httpd.start()

    def deploy(self, host: str, application: str, release: int = 1) -> None:
        env = self._flask if application == "flask" else None
        self.running.tree.deploy(host, application, release, env=env)
        if host not in self.hosts:
            self.hosts.append(host)

    def begin(self, host: str) -> None:  # noqa: B027 - a router needs no word about a new vhost
        """Do what this way needs besides the vhost's directory before it answers."""

    def renew(self, host: str) -> None:  # noqa: B027 - or about a new release
        """Do what this way needs after a deploy besides the swap of the symlink."""

    @abstractmethod
    def pids(self) -> list[int]:
        """The processes that run Python for the vhosts."""

    def private(self) -> int:
        """Bytes of private memory of all these processes."""
        return sum(private(pid) for pid in self.pids())

    def end(self) -> None:
        self.running.end()


class Routed(Contender):
    """This router; the manual's daemon process, which has 32 threads."""

    def __init__(self, flavour: Flavour, isolation: str) -> None:
        super().__init__(flavour)
        self.name = f"router, {isolation}"
        mode = "workers" if isolation == "process" else "daemon"
        settings = f"process_threads={THREADS}" if isolation == "process" else 'isolation="imports"'
        # A restart in the middle would be measured with one and not with the other.
        changes = ((" maximum-requests=100000", ""),)
        self.running = prepare(flavour, mode, settings=settings, changes=changes)

    def pids(self) -> list[int]:
        found = daemons(self.running.httpd)
        return [*found, *(below for pid in found for below in descendants(pid))]


class Proxied(Contender):
    """gunicorn behind mod_proxy_http: a master and one worker with threads for each vhost."""

    name = "gunicorn, proxied"

    def __init__(self, flavour: Flavour, hosts: list[str]) -> None:
        """``hosts``: all that will ever begin; httpd knows them from the start."""
        super().__init__(flavour)
        self._python = environment(flavour.python, GUNICORN) / "bin" / "python"
        self._masters: dict[str, subprocess.Popen[bytes]] = {}
        modules = ("mpm_event", "authz_core", "proxy", "proxy_http")
        self.running = _bare(flavour, modules, lambda layout: _proxies(layout, hosts))

    def begin(self, host: str) -> None:
        users = AS_WWW_DATA if os.geteuid() == 0 else ()
        layout = self.running.layout
        command = [str(self._python), "-m", "gunicorn", "--workers=1", f"--threads={THREADS}"]
        command += ["--worker-class=gthread", "--keep-alive=75", "--log-level=warning", *users]
        command += [f"--bind=unix:{layout.root}/{host}.sock"]
        command += [f"--chdir={layout.base}/{host}/wsgi", "app:app"]
        with (layout.root / "stdout.log").open("ab") as log:
            self._masters[host] = subprocess.Popen(
                command, cwd="/", env=ENVIRON, stdout=log, stderr=log
            )

    def renew(self, host: str) -> None:
        self._masters[host].send_signal(signal.SIGHUP)

    def pids(self) -> list[int]:
        masters = [master.pid for master in self._masters.values()]
        return [*masters, *(below for pid in masters for below in descendants(pid))]

    def end(self) -> None:
        for master in self._masters.values():
            master.terminate()
        for master in self._masters.values():
            try:
                master.wait(10)
            except subprocess.TimeoutExpired:
                master.kill()
                master.wait()
        super().end()


class Grouped(Contender):
    """A mod_wsgi daemon process group of its own for each vhost; the script is its app.py."""

    name = "daemon group"

    def __init__(self, flavour: Flavour) -> None:
        super().__init__(flavour)
        modules = ("mpm_event", "authz_core")
        self.running = _bare(flavour, modules, lambda layout: f'IncludeOptional "{layout.etc}/*"\n')

    def begin(self, host: str) -> None:
        layout = self.running.layout
        (layout.etc / f"{host}.conf").write_text(self._site(layout, host))
        self.running.httpd.signal_and_wait(signal.SIGUSR1)

    def _site(self, layout: Layout, host: str) -> str:
        user = " user=www-data group=www-data" if os.geteuid() == 0 else ""
        wsgi = layout.base / host / "wsgi"
        lines = [
            f"<VirtualHost *:{layout.port}>",
            f"ServerName {host}",
            f"WSGIDaemonProcess {host} processes=1 threads={THREADS}{user} display-name=%{{GROUP}}"
            f" python-home={self._flask} python-path={wsgi}",
            f"WSGIProcessGroup {host}",
            "WSGIApplicationGroup %{GLOBAL}",
            "WSGICallableObject app",
            f'WSGIScriptAlias / "{wsgi}/app.py"',
            f'<Directory "{layout.base}">',
            "Require all granted",
            "</Directory>",
            "</VirtualHost>",
        ]
        return "\n".join([*lines, ""])

    def pids(self) -> list[int]:
        return daemons(self.running.httpd)


def _bare(flavour: Flavour, modules: tuple[str, ...], sites: Callable[[Layout], str]) -> Running:
    """A server without a router, not started."""
    layout = Layout(new_directory(), free_port())
    layout.etc.mkdir()
    text = surroundings(layout, flavour, modules) + sites(layout)
    return Running(layout, Tree(layout.base), Httpd(layout.root, layout.port, text))


def _proxies(layout: Layout, hosts: list[str]) -> str:
    lines = []
    for host in hosts:
        lines += [f"<VirtualHost *:{layout.port}>", f"ServerName {host}", "ProxyPreserveHost On"]
        # retry=0: try again at once when gunicorn was not there yet.
        lines += [f'ProxyPass / "unix:{layout.root}/{host}.sock|http://{host}/" retry=0']
        lines += ["</VirtualHost>"]
    return "\n".join([*lines, ""])
