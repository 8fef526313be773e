"""What lies where in a vhost, and which of it decides its code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from mod_wsgi_van.files.chain import resolve

# Beside the sites: what belongs to each, for example who is in maintenance. No Host leads there.
SITES = ".sites"
_MARK = "maintenance"


@dataclass(frozen=True, slots=True)
class Target:
    """The paths that decide what stands behind one key; all absolute, none need exist yet.

    ``path``: what it resolves to (every symlink hop) is watched, and where ``tree`` is true
    everything below that directory, ignored names left out and never entered.
    ``trees``: further files, or directories with everything below them; their hops too.
    ``files``: further files, or directories of which only the direct entries count; their hops too.
    ``beside``: further paths that do not decide the code; their hops are watched, and no more.
    ``ignored``: globs of names that are ignored here besides those that are ignored everywhere.
    """

    path: str
    tree: bool = True
    trees: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The names in every vhost's directory; all relative to that directory.

    ``further``: files that count as its code wherever they lie.
    """

    wsgi_dir: str
    venv_name: str
    further: tuple[str, ...] = ()

    def wsgi(self, path: str | os.PathLike[str]) -> str:
        """Return the absolute path of the wsgi directory, symlinks and all."""
        return os.path.join(os.path.abspath(path), self.wsgi_dir)

    def target(
        self,
        path: str | os.PathLike[str],
        watch_paths: Sequence[str] = (),
        ignored: Sequence[str] = (),
    ) -> Target:
        """Return what decides the code of the vhost at ``path``.

        The environment counts as what its pyvenv.cfg says and where that is: replaced or made anew
        it is another one, while what is installed into it is never walked.
        """
        top = os.path.abspath(path)
        names = (os.path.join(self.venv_name, "pyvenv.cfg"), *self.further)
        return Target(
            path=self.wsgi(path),
            trees=tuple(os.path.join(top, further) for further in watch_paths),
            files=tuple(os.path.join(top, name) for name in names),
            ignored=tuple(ignored),
        )


def mark(path: str | os.PathLike[str]) -> str:
    """Return the file that puts the site at ``path`` in maintenance while it stands."""
    directory, name = os.path.split(os.path.abspath(path))
    return os.path.join(directory, SITES, name, _MARK)


def marks(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return such a file for each name of the site on the way from ``path``.

    A name may be a link to another one in the same directory.
    """
    top = os.path.dirname(os.path.abspath(path))
    end = resolve(top).end
    names = (name for where, name in resolve(os.fspath(path)).hops if where == end)
    return tuple(mark(os.path.join(top, name)) for name in names if name != SITES)
