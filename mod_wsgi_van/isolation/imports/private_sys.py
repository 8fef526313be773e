"""The module ``sys`` of a release."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import MutableMapping
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.process.worker import SteadyFinders

# Those change while the process runs: a private sys answers with the real one's.
_LIVE = frozenset({"stdin", "stdout", "stderr", "last_exc", "last_type", "last_value",
                   "last_traceback", "ps1", "ps2"})  # fmt: skip


class Modules(dict[str, Any]):
    """``sys.modules`` of a release: what is put in gets a stand-in in the real one."""

    def __init__(self) -> None:
        super().__init__()
        table.open(self)

    def __setitem__(self, name: str, module: Any) -> None:
        table.announce(name, self)
        super().__setitem__(name, module)

    setdefault: Any = MutableMapping.setdefault  # by __setitem__, unlike dict's
    update: Any = MutableMapping.update

    def __ior__(self, other: Any) -> Modules:  # type: ignore[override,misc]
        self.update(other)
        return self


def private_sys(source: Source, modules: Modules) -> ModuleType:
    private = ModuleType("sys", sys.__doc__)
    vars(private).update({k: v for k, v in vars(sys).items() if k not in _LIVE})
    has_venv = os.path.isdir(source.venv)
    vars(private).update(
        modules=modules,
        path=[source.directory, *_standard_paths()],
        meta_path=SteadyFinders(),
        path_hooks=[],
        path_importer_cache={},
        argv=list(sys.argv),
        warnoptions=list(sys.warnoptions),
        prefix=source.venv if has_venv else sys.base_prefix,
        exec_prefix=source.venv if has_venv else sys.base_exec_prefix,
        executable=source.python if os.path.exists(source.python) else sys.executable,
        __getattr__=functools.partial(getattr, sys),
    )
    return private


def _standard_paths() -> list[str]:
    """The entries of the interpreter's first sys.path that hold the standard library."""
    standard = internals.stdlib_dir
    return [
        os.path.join(os.path.dirname(standard), "python{}{}.zip".format(*sys.version_info[:2])),
        standard,
        os.path.join(standard, "lib-dynload"),
    ]
