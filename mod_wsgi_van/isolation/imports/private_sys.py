"""The module ``sys`` of a release."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, MutableMapping
from types import ModuleType
from typing import Any

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import library
from mod_wsgi_van.isolation.imports.standins import table
from mod_wsgi_van.isolation.process.worker import SteadyFinders

# Those change while the process runs, or are its last error: a private sys answers with the real
# one's until the release assigns its own.
_LIVE = frozenset({"last_exc", "last_type", "last_value",
                   "last_traceback", "ps1", "ps2", "tracebacklimit"})  # fmt: skip


# What an interpreter has loaded when its first program begins, and no release needs before it asks.
_STARTED = frozenset({"abc", "codecs", "encodings", "genericpath", "io", "os", "os.path",
                      "posixpath", "site", "stat", "_collections_abc", "_sitebuiltins",
                      "marshal", "posix", "time", "zipimport", "encodings.utf_8"})  # fmt: skip


class Modules(dict[str, Any]):
    """``sys.modules`` of a release: what is put in gets a stand-in in the real one."""

    load: Callable[[str], Any]  # imports by name; set when the release has an importlib

    def __init__(self) -> None:
        super().__init__()
        table.open(self)

    def __missing__(self, name: str) -> Any:
        if name not in _STARTED:
            raise KeyError(name)
        return self.load(name)

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
        path=[source.directory, *library.paths()],
        meta_path=SteadyFinders(),
        path_hooks=[],
        path_importer_cache={},
        argv=list(sys.argv),
        orig_argv=list(sys.orig_argv),
        warnoptions=list(sys.warnoptions),
        _xoptions=dict(sys._xoptions),
        implementation=copy.copy(sys.implementation),
        prefix=source.venv if has_venv else sys.base_prefix,
        exec_prefix=source.venv if has_venv else sys.base_exec_prefix,
        executable=source.python if os.path.exists(source.python) else sys.executable,
        __getattr__=_live,
    )
    for module in ("displayhook", "unraisablehook", "breakpointhook", "excepthook"):
        vars(private)[module] = vars(private)[f"__{module}__"]
    return private


def _live(name: str) -> Any:
    if name in _LIVE:
        return getattr(sys, name)
    raise AttributeError(f"module 'sys' has no attribute {name!r}", name=name)
