"""One change of a site at a time: a lock of the kernel's, and in its file who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SIZE = 1000  # bytes


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the lock of a site whose home exists; raises DeployFailed, with who holds it.

    It ends with the process that holds it, and with the children that it has forked.
    """
    fd = _open(home)
    try:
        user = os.environ.get("SUDO_USER") or _name(os.getuid())
        says = {"pid": os.getpid(), "user": user, "since": time.time()}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(says).encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def holder(home: Home) -> str:
    """The user who holds the lock, "" where nobody does."""
    try:
        return str(json.loads(home.lock.read_bytes())["user"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _open(home: Home) -> int:
    while True:
        fd = os.open(home.lock, _FLAGS, 0o644)
        try:
            found, owner = os.fstat(fd), os.stat(home.path)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # its owner is not trusted
                raise DeployFailed(f"{home.lock} is not a lock: remove it")
            if os.geteuid() == 0 and not found.st_uid:
                os.fchown(fd, owner.st_uid, owner.st_gid)  # who may deploy without root
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeployFailed(_held(home, os.pread(fd, _SIZE, 0))) from None
            if os.path.samestat(found, os.lstat(home.lock)):
                return fd
        except FileNotFoundError:  # the site was removed meanwhile
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _held(home: Home, data: bytes) -> str:
    try:
        says = json.loads(data)
        since = time.strftime("%F %T", time.localtime(says["since"]))
        who = f"process {int(says['pid'])} of {str(says['user'])[:40]!r} since {since}"
    except (ValueError, TypeError, KeyError):
        who = "a process that has just begun or ended"
    return f"{home.site} is being changed, by {who}: wait until it has ended"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
