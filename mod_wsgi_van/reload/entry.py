"""Which object of which module is the application of a site."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mod_wsgi_van.errors import BadObject
from mod_wsgi_van.settings import Settings

_OTHERS = ("wsgi", "passenger_wsgi")  # as the glue of Django and of Passenger is called


@dataclass(frozen=True, slots=True)
class Entry:
    """``second``: the object's name where the module has no ``name``."""

    module: str
    name: str
    second: str = ""
    factory: bool = False


def entry(setting: str, module_name: str, object_name: str, directory: str) -> Entry:
    """Decide by the setting ``entry``, else by the names of a router, else by the files.

    Raises errors.BadObject where two files could be meant.
    """
    if setting:
        module, _, name = setting.partition(":")
        return Entry(module, name.removesuffix("()"), factory=name.endswith("()"))
    if (module_name, object_name) != (Settings.module_name, Settings.object_name):
        return Entry(module_name, object_name)
    package = os.path.join(directory, module_name, "__init__.py")
    files = {name: os.path.join(directory, f"{name}.py") for name in (module_name, *_OTHERS)}
    there = [name for name, file in files.items() if os.path.isfile(file)]
    if not there or module_name in there or os.path.isfile(package):
        return Entry(module_name, object_name, second="application")
    if len(there) > 1:
        both = tuple(files[name] for name in there)
        raise BadObject(
            f"{' and '.join(both)} could both be meant: remove one of them, or say which in"
            ' van.toml, such as entry = "wsgi:application"',
            files=both,
        )
    return Entry(there[0], "application")
