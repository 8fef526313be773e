"""Checks of what the machine grants: inotify, open files, file systems."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from mod_wsgi_van.cli.doctor import eyes
from mod_wsgi_van.cli.doctor.finding import Finding, judged
from mod_wsgi_van.settings import Settings
from mod_wsgi_van.watch.filesystem import foreign

_PER_SITE = 12  # inotify watches of a site of usual size: the hops of its links, its directories
_LEAST_FILES = 1024  # descriptors: two for each worker process, and the server's own
_LEAST_INSTANCES = 16
_PATIENCE = 5.0  # seconds for an answer of the spawner


def limits(sites: int, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """``sites``: how many there are below the base path."""
    watches = _number(proc / "sys/fs/inotify/max_user_watches")
    wanted = max(8192, sites * _PER_SITE)
    yield judged(
        "inotify-watches",
        "there are inotify watches enough",
        f"fs.inotify.max_user_watches is {watches}, {sites} sites may need {wanted}"
        if watches is not None and watches < wanted
        else "",
        f"sysctl -w fs.inotify.max_user_watches={max(65536, wanted)}, and in /etc/sysctl.d",
        state="warning",
    )
    instances = _number(proc / "sys/fs/inotify/max_user_instances")
    yield judged(
        "inotify-instances",
        "there are inotify instances enough",
        f"fs.inotify.max_user_instances is {instances}"
        if instances is not None and instances < _LEAST_INSTANCES
        else "",
        "sysctl -w fs.inotify.max_user_instances=128, and in /etc/sysctl.d",
        state="warning",
    )


def open_files(pid: int | None, proc: Path = Path("/proc")) -> Finding:
    """``pid``: of the daemon process, or of Apache's first one."""
    limit = None
    if pid is not None:
        try:
            text = (proc / str(pid) / "limits").read_text()
        except OSError:
            text = ""
        found = re.search(r"^Max open files +(\d+)", text, re.MULTILINE)
        limit = int(found[1]) if found else None
    return judged(
        "open-files",
        "the daemon process may open files enough",
        f"its limit is {limit}" if limit is not None and limit < _LEAST_FILES else "",
        "mod-wsgi-van config systemd prints a drop-in of apache2.service",
        state="warning",
    )


def base(path: str, user: str) -> Iterator[Finding]:
    """The directory of the sites."""
    says = eyes.look(user, [(path, os.R_OK | os.X_OK)])[0]
    if not says and not os.path.isdir(path):
        says = f"{path} is not a directory"
    remedy = f"mkdir -p {path} && chmod 755 {path}, and open the directories above it"
    yield judged("base-path", f"the daemon's user can list {path}", says, remedy)
    if says:
        return
    kind = foreign(path)
    yield judged(
        "blind",
        f"inotify sees changes in {path}",
        f"it is on {kind}, where sites are polled every update_interval instead" if kind else "",
        "move it to a local file system, or leave it",
        state="warning",
    )
    free = os.statvfs(path)
    full = free.f_blocks and (not free.f_bavail or (free.f_files and not free.f_favail))
    yield judged(
        "space",
        f"there is room on the file system of {path}",
        "it is full" if full else "",
        f"df -h {path}; df -i {path}",
        state="warning",
    )


def spawner(settings: Settings, user: str) -> Finding:
    """Whether the service that starts workers as the owners of their sites answers."""
    path = settings.spawner_socket
    says = ""
    if user and user != settings.daemon_user:
        says = f'the daemon\'s user is {user}, and daemon_user is "{settings.daemon_user}"'
    says = says or eyes.look(user, [(path, os.R_OK | os.W_OK)])[0]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(path)
            connection.send(b"{}")
            connection.recv(1)
    except OSError as error:
        says = says or f"{path}: {error}"
    remedy = "systemctl enable --now mod-wsgi-van-spawner; mod-wsgi-van config spawner prints it"
    return judged("spawner", "the spawner answers the daemon", says, remedy)


def status(settings: Settings, user: str) -> Finding:
    """Whether daemon processes can listen for mod-wsgi-van status."""
    path = settings.status_directory
    owner = user or "www-data"
    return judged(
        "status",
        f"the daemon's user can make a socket in {path}",
        eyes.look(user, [(path, os.W_OK | os.X_OK)])[0],
        f"install -d -o {owner} {path}, then systemctl reload apache2; mod-wsgi-van config"
        " tmpfiles prints what does so at each boot",
        state="warning",
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
