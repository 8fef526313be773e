"""Makes two sites to play with: one plain, with a second and a broken release, one with Flask."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mod_wsgi_van.cli import apache
from mod_wsgi_van.cli.problem import Problem, Unusable

HELLO = "hello.localhost"
FLASK = "flask.localhost"
_RELEASES = ".releases"  # begins with a dot: no Host header leads there

_HELLO_APP = '''\
"""A WSGI application in one file; RELEASE is what a deploy changes."""

RELEASE = {release!r}


def app(environ, start_response):
    body = f"Hello from release {{RELEASE}} of {{environ['HTTP_HOST']}}\\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
'''

_BROKEN_APP = '''\
"""A release that cannot be loaded: the one before it goes on serving."""

raise RuntimeError("this release is broken on purpose")
'''

_FLASK_APP = '''\
"""A Flask application with an environment of its own; edit and save it while it runs."""

from importlib.metadata import version

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return f"Hello from Flask {version('flask')}\\n"
'''


@dataclass(frozen=True, slots=True)
class Demo:
    """``base`` is absolute; without network there may be no Flask, and ``no_flask`` says why."""

    base: Path
    no_flask: str = ""


def make(base: Path) -> Demo:
    """Make what is missing below ``base`` and put the first release of hello back in place.

    Raises Problem when the directory holds anything else.
    """
    ours = {_RELEASES, HELLO, FLASK}
    if base.exists():
        foreign = [path.name for path in base.iterdir() if path.name not in ours]
        if foreign:
            raise Problem(f"{base} holds more than the demo ({foreign[0]}): choose another")
    releases = base / _RELEASES
    _write(releases / "hello-1/wsgi/app.py", _HELLO_APP.format(release="1"))
    _write(releases / "hello-2/wsgi/app.py", _HELLO_APP.format(release="2"))
    _write(releases / "hello-broken/wsgi/app.py", _BROKEN_APP)
    hello = base / HELLO
    hello.unlink(missing_ok=True)
    hello.symlink_to(f"{_RELEASES}/hello-1")
    return Demo(base, _make_flask(base / FLASK))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _make_flask(site: Path) -> str:
    """Why there is no Flask site, "" when there is one."""
    python = site / ".venv/bin/python"
    if _run(python, "-c", "import flask"):
        print("Installing Flask for the demo ...", flush=True)
        failed = _run(interpreter(), "-m", "venv", "--clear", str(site / ".venv")) or _run(
            python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "flask>=3"
        )
        if failed:
            return failed
    _write(site / "wsgi/app.py", _FLASK_APP)
    return ""


def interpreter() -> Path:
    """The Python to make the environment with: ours where httpd's user can run it.

    Root's httpd becomes a user who cannot enter /root, where pyenv has its Pythons.
    """
    ours = Path(sys.executable)
    try:
        apache.check_readable(apache.daemon_user(), str(ours.resolve().parent))
    except Unusable:
        system = shutil.which("python3", path=apache.ENVIRON["PATH"])
        if system and not _run(Path(system), "-c", "import ensurepip"):
            return Path(system)
    return ours


def _run(program: Path, *arguments: str) -> str:
    """The last line that a program wrote when it failed, "" when it succeeded."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    complaint = (done.stderr or done.stdout).strip()
    return complaint.splitlines()[-1] if complaint else f"exit status {done.returncode}"


def instructions(demo: Demo, port: int) -> str:
    """What to open, and the commands to copy while it runs."""
    hello = shlex.quote(str(demo.base / HELLO))
    lines = [
        "",
        "Open",
        f"  http://{HELLO}:{port}/",
        f"  (no Flask site: {demo.no_flask})" if demo.no_flask else f"  http://{FLASK}:{port}/",
        "",
        "Try in another terminal, and reload the page",
        f"  deploy release 2:  ln -sfn {_RELEASES}/hello-2 {hello}",
        f"  deploy a broken:   ln -sfn {_RELEASES}/hello-broken {hello}",
        f"  delete the site:   rm {hello}",
        f"  bring it back:     ln -sfn {_RELEASES}/hello-1 {hello}",
    ]
    if not demo.no_flask:
        app = shlex.quote(str(demo.base / FLASK / "wsgi/app.py"))
        lines.append(f"  edit in place:     sed -i s/Hello/Goodbye/ {app}")
    return "\n".join([*lines, "", "Ctrl-C ends everything.", ""])
