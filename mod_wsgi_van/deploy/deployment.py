"""One deploy: a list of steps, of which the next begins when the one before is done.

Until ``activate`` nothing is changed that anybody sees. What is left of a deploy that was killed is
a release that is not whole, which the next deploy removes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mod_wsgi_van.deploy import preflight, programs, revisions, sources, upkeep
from mod_wsgi_van.deploy.environment import Environments, daemons_python, find_uv
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.lock import locked
from mod_wsgi_van.deploy.switching import Subject
from mod_wsgi_van.deploy.tree import Tree
from mod_wsgi_van.deploy.user import as_user
from mod_wsgi_van.errors import VanError

_COMPILES = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Wanted:
    """``check``: in place of the setting; ``dry``: the release is made, proven and removed."""

    source: str
    ref: str = ""
    check: str | None = None
    keep: int = 5
    activate: bool = True
    dry: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One that is done."""

    name: str
    seconds: float
    note: str


@dataclass(slots=True)
class Deployment:
    """Makes one release of a site; ``id`` is known when it has begun."""

    subject: Subject
    wanted: Wanted
    id: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    def run(self, begin: Callable[[str], None]) -> Iterator[Step]:
        """Deploy; ``begin`` is told the name of each step. Raises DeployFailed.

        Where it fails, all is as it was.
        """
        with held(self.subject):
            home = self.subject.home
            if self.wanted.activate and not self.wanted.dry and (obstacle := home.obstacle()):
                raise DeployFailed(obstacle)
            self.subject.as_owner(lambda: upkeep.clean(home))
            self.id = revisions.new_id(home)
            try:
                for name, step in self.steps():
                    begin(name)
                    began = time.monotonic()
                    note = step()
                    yield Step(name, time.monotonic() - began, note)
            except BaseException as error:
                shutil.rmtree(self._staging, ignore_errors=True)
                self.subject.as_owner(lambda: upkeep.discard(home, self.id))
                if isinstance(error, VanError):
                    raise DeployFailed(str(error)) from error
                raise

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Each with its name; each returns what people want to know."""
        steps = [
            ("copy", self._copy),
            ("shared", self._as_owner(self._share)),
            ("environment", self._as_owner(self._give_environment)),
            ("bytecode", self._as_owner(self._compile)),
            ("load", self._load),
            ("record", self._as_owner(self._record)),
        ]
        if self.wanted.dry:
            return [*steps[:-1], ("remove", self._as_owner(self._remove))]
        if self.wanted.activate:
            steps.append(("activate", lambda: self.subject.switch(self.id, "deploy")))
        return [*steps, ("prune", self._as_owner(self._prune))]

    def _as_owner(self, step: Callable[[], str]) -> Callable[[], str]:
        return lambda: self.subject.as_owner(step)

    @property
    def release(self) -> Path:
        return self.subject.home.release(self.id)

    @property
    def _staging(self) -> Path:
        """Where a release is copied to: out of the reach of the owner until it is whole."""
        home = self.subject.home
        return (
            home.path.parent / f".{home.site}.new"
            if self.subject.users.files
            else home.path / ".new"
        )

    def _copy(self) -> str:
        wanted, staging = self.wanted, self._staging
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(0o700)
        tree = Tree(staging)
        copied = sources.copy(wanted.source, wanted.ref, tree, self.subject.settings.wsgi_dir)
        if owner := self.subject.users.files:
            _give(staging, owner)
        staging.chmod(0o755)
        with upkeep.opened(self.subject.home) as releases:
            os.rename(staging, self.id, dst_dir_fd=releases)
        self.about = {"source": wanted.source, "kind": copied.kind, "revision": copied.revision}
        revision = f" {copied.revision[:12]}" if copied.revision else ""
        return "; ".join(
            filter(None, [f"{tree.files} files of a {copied.kind}{revision}", copied.note])
        )

    def _share(self) -> str:
        return upkeep.share(self.subject.home, self.id)

    @property
    def _environments(self) -> Environments:
        return Environments(self.subject.home, self.subject.settings.venv_name, find_uv())

    def _give_environment(self) -> str:
        return self._environments.give(self.id)

    def _compile(self) -> str:
        """What cannot be compiled need not be imported: that is for ``load`` to find out."""
        own = self.release / self.subject.settings.venv_name / "bin/python"
        python = str(own) if own.exists() else daemons_python()
        command = [python, "-I", "-m", "compileall", "-q", str(self.release)]
        environ = programs.environ(self.subject.home.path)
        try:
            programs.run(command, self.release, environ, _COMPILES)
        except DeployFailed as error:
            return str(error).partition("\n")[2].strip().partition("\n")[0]
        return f"by {own if own.exists() else python}"

    def _load(self) -> str:
        home, settings = self.subject.home, self.subject.settings
        check, user = self.wanted.check, self.subject.users.code

        def prove() -> str:
            return preflight.prove(settings, home.site, self.release, check)

        return str(as_user(user, prove)) if user else prove()

    def _record(self) -> str:
        revisions.record(self.subject.home, self.id, {**self.about, "made": time.time()})
        return ""

    def _prune(self) -> str:
        home = self.subject.home
        kept = upkeep.prune(home, self.wanted.keep)
        self._environments.prune(kept)
        return f"kept: {len(kept)}"

    def _remove(self) -> str:
        upkeep.discard(self.subject.home, self.id)
        return "nothing has changed"


@contextmanager
def held(subject: Subject) -> Iterator[None]:
    """The home of a site, which is made where it is missing, with its lock."""
    home, files = subject.home, subject.users.files
    entry = pwd.getpwnam(files) if files else None
    upkeep.prepare(home, *(entry[2:4] if entry else (-1, -1)))
    with locked(home):
        subject.as_owner(lambda: upkeep.fill(home))
        yield


def _give(top: Path, owner: str) -> None:
    """From the leaves on: the owner cannot enter what is not yet all his."""
    entry = pwd.getpwnam(owner)
    for where, directories, files in os.walk(top, topdown=False):
        for name in (*directories, *files):
            os.chown(Path(where, name), entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    os.chown(top, entry.pw_uid, entry.pw_gid)
