"""Compiled parts that a release does without.

Some packages are whole in Python and bring a compiled part for speed, whose C variables would keep
what the first release had: its classes, or those of its standard library. What such a package does
where nothing was compiled, it does in a release.
"""

from __future__ import annotations

from typing import Any


def leave_out(external: Any, packages: tuple[str, ...]) -> None:
    """Have ``external``, a release's importlib, see no compiled modules of these packages."""
    if not packages:
        return
    below = tuple(f"{package}." for package in packages)
    find = external.FileFinder.find_spec
    compiled = external.ExtensionFileLoader
    details = [each for each in external._get_supported_file_loaders() if each[0] is not compiled]

    def find_spec(self: Any, fullname: str, target: Any = None) -> Any:
        spec = find(self, fullname, target)
        if spec is None or type(spec.loader) is not compiled or not fullname.startswith(below):
            return spec
        return find(external.FileFinder(self.path, *details), fullname, target)

    external.FileFinder.find_spec = find_spec
