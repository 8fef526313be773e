"""Runs a private httpd in the foreground, from a temporary ServerRoot, and leaves nothing behind.

The main thread waits for httpd to end; the thread ``van-httpd-log`` copies its log to stderr.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mod_wsgi_van.cli import apache
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem, Unusable

_PACKAGES = ("mod_wsgi_van", "watchdog")

# The script says on stderr, that is in the error log, how its import went.
_READY = "mod_wsgi_van.cli: ready: "
_FAILED = "mod_wsgi_van.cli: failed: "
_SCRIPT = """\
import sys

try:
    python = "Python %d.%d" % sys.version_info[:2]
    if sys.version_info < (3, 11):
        raise ImportError("mod_wsgi has " + python + ", 3.11 or later is needed")
    import mod_wsgi
    from mod_wsgi_van import Router

    application = Router(**{settings!r}).application
except BaseException as error:
    print({failed!r} + "%s: %s" % (type(error).__name__, error), file=sys.stderr, flush=True)
    raise
version = ".".join(map(str, mod_wsgi.version))
print({ready!r} + "mod_wsgi " + version + " with " + python, file=sys.stderr, flush=True)
"""

_STARTS_WITHIN = 30.0  # seconds; it takes 0.3 to 2
_ENDS_WITHIN = 15.0  # seconds; mod_wsgi gives requests in flight 5


def run(
    settings: Mapping[str, Any],
    listen: str,
    announce: Callable[[str], None],
    interruption: Interruption,
) -> None:
    """Serve ``settings["base_path"]`` until interrupted; ``announce`` is told when it is ready.

    Raises Unusable before it was ready, Problem when httpd ends by itself afterwards.
    """
    found = apache.find()
    user = apache.daemon_user()
    apache.check_readable(user, settings["base_path"])
    with contextlib.ExitStack() as stack:
        with interruption.held():  # a signal here would leave the directory behind
            directory = tempfile.TemporaryDirectory(prefix="van-", ignore_cleanup_errors=True)
            root = Path(stack.enter_context(directory))
        private = apache.Private(root, listen, user, apache.static(settings))
        _fill(root, settings)
        (root / "httpd.conf").write_text(apache.configuration(found, private))
        _open_to(user, root)
        with interruption.held():  # and here the process
            process = _start(found, root)
            log = _Log(process)
            stack.callback(log.join, _ENDS_WITHIN)
            stack.callback(_end, process)
            log.start()
        announce(f"Apache ({found.program}, {_wait_until_ready(process, log)})")
        process.wait()
        _end(process)  # the daemon process of httpd would hold the log open
        log.join(_ENDS_WITHIN)
        raise Problem(f"httpd ended by itself with status {process.returncode}: {log.last()}")


def _fill(root: Path, settings: Mapping[str, Any]) -> None:
    """Write the script and copy the packages that it imports.

    mod_wsgi may run another Python as another user, who cannot read our environment. The packages
    are pure Python, so one copy suits every version.
    """
    (root / "run").mkdir()
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise Unusable(f"the package {name} is not installed")
        source = spec.submodule_search_locations[0]
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / "python" / name, ignore=ignore)
    text = _SCRIPT.format(settings=dict(settings), ready=_READY, failed=_FAILED)
    (root / apache.SCRIPT).write_text(text)


def _open_to(user: str, root: Path) -> None:
    """Let ``user`` and nobody else read the copy, whatever the modes of the originals."""
    if not user:
        return
    group = pwd.getpwnam(user).pw_gid
    for path in (root, *root.rglob("*")):
        os.chown(path, -1, group)
        path.chmod(0o750 if path.is_dir() else 0o640)
    apache.check_readable(user, str(root))


def _start(found: apache.Apache, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [found.program, "-d", str(root), "-f", str(root / "httpd.conf"), "-D", "FOREGROUND"],
        env=apache.environ(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,  # a terminal signals its own at Ctrl-C; we end httpd ourselves
    )


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(_ENDS_WITHIN)
    # What is left of the process group, where httpd was killed or did not end in time.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until_ready(process: subprocess.Popen[str], log: _Log) -> str:
    """The versions that serve; raises Unusable when the script fails, httpd ends or hangs."""
    if not log.told.wait(_STARTS_WITHIN):
        raise Unusable(f"httpd was not ready after {_STARTS_WITHIN:.0f} s: {log.last()}")
    if log.failed:
        raise Unusable(f"mod_wsgi cannot run the router: {log.failed}")
    if not log.ready:
        raise Unusable(f"httpd ended with status {process.wait()}: {log.last()}")
    return log.ready


class _Log(threading.Thread):
    """Copies httpd's log to stderr; ``told`` is set when it is ready, has failed or has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(name="van-httpd-log", daemon=True)
        assert process.stdout is not None
        self.told = threading.Event()
        self.ready = ""
        self.failed = ""
        self._stream = process.stdout
        self._lines = collections.deque[str](maxlen=3)

    def last(self) -> str:
        return " / ".join(self._lines) or "it said nothing"

    def run(self) -> None:
        with self._stream:
            for line in self._stream:
                self._take(line.rstrip("\n"))
        self.told.set()

    def _take(self, line: str) -> None:
        if _READY in line:
            self.ready = line.partition(_READY)[2]
            self.told.set()
        elif _FAILED in line:
            self.failed = line.partition(_FAILED)[2]
            self.told.set()
        else:
            self._lines.append(line)
            # Nobody reads stderr any more: httpd's pipe must be emptied all the same.
            with contextlib.suppress(OSError):
                print(line, file=sys.stderr, flush=True)
