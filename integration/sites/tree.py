"""A base directory of vhosts, deployed as people do it: a release directory and a symlink."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from tests.support.links import swap

APPLICATIONS = Path(__file__).parent / "applications"


class Tree:
    """The vhosts below one base directory; ``env`` is for those that bring none of their own."""

    def __init__(self, base: Path, env: Path | None = None) -> None:
        self.base = base
        self._env = env
        self._numbers = itertools.count()
        base.mkdir(exist_ok=True)

    def deploy(
        self, host: str, application: str, release: int = 1, *, env: Path | None = None
    ) -> Path:
        """Build a release of ``host`` and swap its symlink to it in one step."""
        built = self.build(host, application, release, env=env)
        self.swap(host, built)
        return built

    def build(self, host: str, application: str, release: int, *, env: Path | None = None) -> Path:
        """A release directory that nothing points to yet."""
        site = host.split(".")[0]
        path = self.base / ".builds" / host / str(next(self._numbers))
        (path / "static").mkdir(parents=True)
        (path / "static" / "where.txt").write_text(f"{site} {release}\n")
        for source in sorted((APPLICATIONS / application).rglob("*.py")):
            target = path / "wsgi" / source.relative_to(APPLICATIONS / application)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text().replace("@site@", site)
            target.write_text(text.replace("@release@", str(release)))
        env = env or self._env
        if env is not None:
            (path / ".venv").symlink_to(env)
        return path

    def swap(self, host: str, release: Path) -> None:
        """Point the vhost's link at the release."""
        swap(self.base / host, release.relative_to(self.base))

    def wsgi(self, host: str) -> Path:
        """The wsgi directory of the release that is deployed."""
        return (self.base / host / "wsgi").resolve()

    def delete(self, host: str) -> None:
        (self.base / host).unlink()
        shutil.rmtree(self.base / ".builds" / host)
