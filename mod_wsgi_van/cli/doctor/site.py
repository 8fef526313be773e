"""Checks of one site: rights along the way, its interpreter, its application, what it publishes."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mod_wsgi_van import Router
from mod_wsgi_van.cli.apache import ENVIRON
from mod_wsgi_van.cli.doctor import eyes
from mod_wsgi_van.cli.doctor.finding import Finding, judged
from mod_wsgi_van.deploy.user import as_user, become
from mod_wsgi_van.errors import BadHost, LoadError
from mod_wsgi_van.files.own import SECRETS, OwnFiles, secrets
from mod_wsgi_van.files.reading import read
from mod_wsgi_van.files.target import mark
from mod_wsgi_van.hosts import normalise
from mod_wsgi_van.isolation.environment import examine
from mod_wsgi_van.isolation.process import spawner
from mod_wsgi_van.limits import grant
from mod_wsgi_van.reload.entry import entry
from mod_wsgi_van.settings import Settings

_SIZE = 4 << 20  # bytes of an app.py that are looked at
_HIDDEN = (".git", ".hg", ".svn", ".env")
_LOADS_WITHIN = 60.0  # seconds, beyond load_timeout
_OUTPUT = 1 << 16  # bytes


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
            yield from self._application(wsgi)
        yield from self._environment()
        if self.router.site_user == "owner" and os.geteuid() == 0:
            yield self._owner(wsgi)
        if os.path.exists(file := mark(self.path)):
            remedy = f"mod-wsgi-van maintenance off {self.host}"
            says = f"{file} is there: requests get 503"
            yield self._judged("maintenance", "it serves", says, remedy, state="warning")
        yield self._published()
        yield from self._secrets()

    def _judged(self, name: str, check: str, says: str, remedy: str, **more: Any) -> Finding:
        return judged(name, check, says, remedy, site=self.host, **more)

    def _application(self, wsgi: str) -> Iterator[Finding]:
        says, capped, (module, *names) = as_user(self.user, lambda: self._own(wsgi))
        remedy = "mend the file; mod-wsgi-van help settings"
        yield self._judged("van-toml", "what the site says of itself is valid", says, remedy)
        if says:
            return
        remedy = "take it out of van.toml, or have the administrator allow it: [limits]"
        check = "van.toml asks for nothing that the site cannot have"
        yield self._judged("limits", check, capped, remedy, state="warning")
        path = self._module(wsgi, module)
        check = f"{path} defines {' or '.join(names)}"
        says = eyes.look(self.user, [(path, os.R_OK)])[0]
        says = says or str(as_user(self.user, lambda: _lacks(path, names)))
        remedy = f"define {names[0]} there, or name the module and the object in van.toml"
        yield self._judged("application", check, says, remedy)

    def _own(self, wsgi: str) -> tuple[str, str, list[str]]:
        """What is wrong with the site's settings, what it does not get, module and names."""
        given = Settings(**_given(self.router))
        try:
            secrets(self.path)
            granted = grant(given, self.host, OwnFiles().settings(self.path))
            found = entry(granted.settings.entry, given.module_name, given.object_name, wsgi)
        except (LoadError, OSError) as error:
            return str(error), "", [""]
        names = filter(None, (found.name, found.second))
        return "", "; ".join(granted.capped), [found.module, *names]

    def _module(self, wsgi: str, name: str) -> str:
        """The file of a module, in the wsgi directory where it is nowhere."""
        parts = name.split(".")
        for directory in (wsgi, *map(str, self.router.get_venv_paths(self.path))):
            for end in (".py", "/__init__.py"):
                path = os.path.join(directory, *parts) + end
                if os.path.exists(path):
                    return path
        return os.path.join(wsgi, *parts) + ".py"

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

        return str(as_user(self.user, look))

    def _owner(self, wsgi: str) -> Finding:
        """Whether the spawner would start a worker; it is asked by its own code."""
        policy = spawner.Policy(**{key: _given(self.router)[key] for key in vars(spawner.Policy())})
        site = os.path.relpath(os.path.abspath(self.path), self.router.base_path)
        directory, name = os.path.split(self.router.get_python(self.path))
        python = os.path.join(os.path.realpath(directory), name)
        says = ""
        try:
            start = spawner.examine(policy, spawner.Request(site, os.path.realpath(wsgi), python))
            os.close(start.program)
        except spawner.Refused as error:
            says = str(error)
        check = "a worker of it can be started as the owner of its directory"
        return self._judged("owner", check, says, "mod-wsgi-van help security, the spawner")

    def _published(self) -> Finding:
        static = os.path.join(self.path, "static")
        found = [name for name in _HIDDEN if os.path.lexists(os.path.join(static, name))]
        return self._judged(
            "published",
            "no secret lies below static",
            f"{static} has {' and '.join(found)}" if found else "",
            f"move it out of {static}: an Apache without the rule for dots would publish it",
            state="warning",
        )

    def _secrets(self) -> Iterator[Finding]:
        file = self.path / SECRETS
        try:
            others = file.stat().st_mode & stat.S_IRWXO
        except OSError:
            return
        says = f"others have rights: mode {others:03o}" if others else ""
        yield self._judged(
            "secrets", f"{file} is closed to others", says, f"chmod o= {file}", state="warning"
        )

    def load(self, python: str) -> Finding:
        """Load the site in a process of its own, as the daemon's user, with nothing of root's."""
        process = subprocess.Popen(
            [python, "-c", _LOAD, self.host],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRON,
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: become(self.user),
        )
        # What a site writes is taken up to a limit: then its own writing fails.
        head = subprocess.Popen(
            ["head", "-c", str(_OUTPUT)], stdin=process.stderr, stdout=subprocess.PIPE
        )
        assert process.stdin and process.stderr and head.stdout
        process.stderr.close()
        with suppress(BrokenPipeError), process.stdin:  # never an argument: secrets are in it
            process.stdin.write(json.dumps(_given(self.router)).encode())
        limit = self.router.load_timeout + _LOADS_WITHIN
        try:
            says = "" if process.wait(limit) == 0 else "it did not load"
        except subprocess.TimeoutExpired:
            says = f"it has not ended within {limit:.0f} s"
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what the application has started
        process.wait()
        lines = head.communicate()[0].decode(errors="replace").strip().splitlines()
        coded = [line for line in lines if "VAN" in line] or lines[-1:]
        says = says and " / ".join([says, *coded[:2]])
        remedy = "see the lines of the error log, and mod-wsgi-van explain CODE"
        return self._judged("load", "the application can be loaded", says, remedy)


_LOAD = """
import json, sys
from mod_wsgi_van import Router
from mod_wsgi_van.cli.apache import ENVIRON
router = Router(**json.load(sys.stdin))
loaded = router.load(sys.argv[1])
router.shutdown()
sys.exit(not loaded)
"""


def _given(router: Router) -> dict[str, Any]:
    return {each.name: getattr(router, each.name) for each in fields(Settings)}


def _rights(says: str, remedy: str) -> str:
    missing = os.strerror(errno.ENOENT).lower() in says
    return "deploy the site, or remove what is left of it" if missing else remedy


def _lacks(path: str, wanted: Sequence[str]) -> str:
    """Why the text of a module cannot have one of the objects, "" where it has or may have it."""
    try:
        text = read(path, _SIZE)
        tree = ast.parse(text or "", path)
    except (LoadError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {each.asname or each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    if {*wanted, "*"} & names or "globals" in (text or "") or "__getattr__" in names:
        return ""
    coroutines = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
    for name in wanted:
        if name in coroutines:
            return f"{name} is asynchronous, an ASGI application; WSGI is served here"
    return f"it defines no {' and no '.join(wanted)}"
