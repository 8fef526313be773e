"""Checks of one site: rights along the way, its interpreter, its application, what it publishes."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mod_wsgi_van import Router
from mod_wsgi_van.cli.doctor import eyes
from mod_wsgi_van.cli.doctor.finding import Finding, judged
from mod_wsgi_van.errors import BadHost, LoadError
from mod_wsgi_van.files.reading import read
from mod_wsgi_van.hosts import normalise
from mod_wsgi_van.isolation.environment import examine
from mod_wsgi_van.settings import Settings

_SIZE = 4 << 20  # bytes of an app.py that are looked at
_SECRETS = (".git", ".hg", ".svn", ".env")
_LOADS_WITHIN = 60.0  # seconds, beyond load_timeout


def hosts(base: str) -> list[str]:
    """The names below ``base`` that a Host header can have."""
    found = []
    for name in sorted(os.listdir(base)):
        try:
            if normalise(name) == name:
                found.append(name)
        except BadHost:
            pass
    return [name for name in found if _is_site(os.path.join(base, name))]


def _is_site(path: str) -> bool:
    """Whether somebody means it to be one; Debian's /var/www/html is none."""
    if os.path.islink(path):
        return not os.path.isfile(path)
    parts = ("wsgi", ".venv", "static", "van.toml")
    return any(os.path.lexists(os.path.join(path, each)) for each in parts)


@dataclass(frozen=True, slots=True)
class Examination:
    """One site, looked at as ``user``; ``router`` knows what lies where."""

    router: Router
    host: str
    user: str

    @property
    def path(self) -> Path:
        return self.router.get_server_path(self.host)

    def findings(self) -> Iterator[Finding]:
        """All checks; the later ones only where the earlier ones are well."""
        wsgi = os.path.join(self.path, self.router.wsgi_dir)
        remedy = f"chmod a+rX it, or chown it to {self.user or 'the owner'}"
        says = eyes.look(self.user, [(str(self.path), os.X_OK)])[0]
        yield self._judged("path", f"{self.path} can be entered", says, _rights(says, remedy))
        if says:
            return
        says = eyes.look(self.user, [(wsgi, os.R_OK | os.X_OK)])[0]
        yield self._judged("wsgi-dir", f"{wsgi} can be listed", says, _rights(says, remedy))
        if not says:
            yield self._application(wsgi)
        yield from self._environment()
        yield self._published()

    def _judged(self, name: str, check: str, says: str, remedy: str, **more: Any) -> Finding:
        return judged(name, check, says, remedy, site=self.host, **more)

    def _application(self, wsgi: str) -> Finding:
        module, wanted = self.router.module_name, self.router.object_name
        path = os.path.join(wsgi, *module.split(".")) + ".py"
        package = os.path.join(wsgi, *module.split("."), "__init__.py")
        path = package if os.path.isdir(os.path.dirname(package)) else path
        check = f"{path} defines {wanted}"
        says = eyes.look(self.user, [(path, os.R_OK)])[0]
        if not says:
            says = _lacks(path, wanted)
        remedy = f"define {wanted} there, or name the module and the object in van.toml"
        return self._judged("application", check, says, remedy)

    def _environment(self) -> Iterator[Finding]:
        venv = os.path.join(self.path, self.router.venv_name)
        if not os.path.lexists(venv):
            return
        remedy = f"make it again: python3 -m venv --clear {venv}, as or for {self.user or 'you'}"
        says = self._environment_fault(venv)
        yield self._judged("environment", f"the environment {venv} is whole", says, remedy)
        if says:
            return
        python = os.path.join(venv, "bin/python")
        says = eyes.look(self.user, [(python, os.X_OK)])[0]
        remedy = (
            "make the environment with a Python that the daemon's user can run, such as"
            f" /usr/bin/python3 -m venv --clear {venv}"
        )
        yield self._judged("interpreter", f"{python} can be run", says, remedy)

    def _environment_fault(self, venv: str) -> str:
        def look() -> str:
            try:
                examine(venv)
            except (LoadError, OSError) as error:
                return str(error)
            return ""

        return str(eyes.as_user(self.user, look))

    def _published(self) -> Finding:
        static = os.path.join(self.path, "static")
        found = [name for name in _SECRETS if os.path.lexists(os.path.join(static, name))]
        return self._judged(
            "published",
            "no secret lies below static",
            f"{static} has {' and '.join(found)}" if found else "",
            f"move it out of {static}: an Apache without the rule for dots would publish it",
            state="warning",
        )

    def load(self, command: Sequence[str]) -> Finding:
        """Load the site in a process of its own, as the daemon's user; ``command`` is a Python."""
        given = {each.name: getattr(self.router, each.name) for each in fields(Settings)}
        done = subprocess.run(
            [*command, "-c", _LOAD, repr(given), self.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=self.router.load_timeout + _LOADS_WITHIN,
            preexec_fn=lambda: eyes.become(self.user),
            cwd="/",
        )
        lines = [line for line in done.stderr.splitlines() if "VAN" in line] or (
            done.stderr.strip().splitlines()[-1:]
        )
        says = "" if done.returncode == 0 else " / ".join(lines[:2]) or "it did not load"
        remedy = "see the lines of the error log, and mod-wsgi-van explain CODE"
        return self._judged("load", "the application can be loaded", says, remedy)


_LOAD = """
import ast, sys
from mod_wsgi_van import Router
router = Router(**ast.literal_eval(sys.argv[1]))
loaded = router.load(sys.argv[2])
router.shutdown()
sys.exit(not loaded)
"""


def _rights(says: str, remedy: str) -> str:
    missing = os.strerror(errno.ENOENT).lower() in says
    return "deploy the site, or remove what is left of it" if missing else remedy


def _lacks(path: str, wanted: str) -> str:
    """Why the text of a module cannot have the object, "" where it has or may have it."""
    try:
        text = read(path, _SIZE)
        tree = ast.parse(text or "", path)
    except (LoadError, SyntaxError, ValueError) as error:
        return str(error)
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {each.asname or each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    if {wanted, "*"} & names or "globals" in (text or "") or "__getattr__" in names:
        return ""
    if any(isinstance(node, ast.AsyncFunctionDef) and node.name == wanted for node in tree.body):
        return f"{wanted} is asynchronous, an ASGI application; WSGI is served here"
    return f"it defines no {wanted}"
