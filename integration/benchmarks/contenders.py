"""Who is compared: the application alone, this router, mod-wsgi-van 1.0.0; each in an environment
of its own, all of the Python that Debian's mod_wsgi is built for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from integration.server.flavours import DEPENDENCIES, install_router
from integration.server.programs import system_python
from tests.support.environments import environment, site_packages
from tests.support.places import open_directory

ALONE, OURS, THEIRS = "alone", "this router", "1.0.0"
ROUTERS = (OURS, THEIRS)

CHILD = Path(__file__).with_name("child.py")


def directory() -> AbstractContextManager[Path]:
    """A temporary directory that httpd's processes can read.

    In /var/tmp, because every directory above base_path is watched for the next name of the path,
    and in /tmp other programs come and go.
    """
    return open_directory("/var/tmp")


def homes(parent: Path) -> dict[str, Path]:
    """An environment per contender below ``parent``."""
    python = system_python()
    made = {
        ALONE: environment(python, DEPENDENCIES),
        OURS: environment(python, DEPENDENCIES),
        THEIRS: environment(python, ("mod-wsgi-van==1.0.0",)),
    }
    found = {}
    for name, source in made.items():
        found[name] = parent / f"home-{name.replace(' ', '-')}"
        shutil.copytree(source, found[name], symlinks=True)
    install_router(found[OURS])
    return found


def packages(env: Path) -> str:
    return str(site_packages(env))


def _apart() -> list[str]:
    """Where possible a mount namespace of its own: what others mount wakes a watcher."""
    if os.geteuid() == 0 and shutil.which("unshare"):
        return ["unshare", "--mount", "--propagation", "private"]
    return []


class Child:
    """A process of a contender's Python that runs child.py and does what it is told."""

    def __init__(self, home: Path, base: Path, router: str = "", **settings: Any) -> None:
        self._process = subprocess.Popen(
            [*_apart(), str(home / "bin/python"), "-I", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        )
        self.pid = self._process.pid
        self.tell("open", base=str(base), settings=settings, router=router)

    def tell(self, what: str, **arguments: Any) -> Any:
        """Have it call one of child.py's functions; return what that returned."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{what}: the contender ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{what}: {answer['error']}")
        return answer["result"]

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
