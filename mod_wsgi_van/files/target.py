"""What to look at for one vhost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """The paths that decide what stands behind one key; all absolute, none need exist yet.

    ``path``: what it resolves to (every symlink hop) is watched, and where ``tree`` is true
    everything below that directory, ignored names left out and never entered.
    ``trees``: further files, or directories with everything below them; their hops too.
    ``files``: further files, or directories of which only the direct entries count; their hops too.
    """

    path: str
    tree: bool = True
    trees: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
