"""Sources of vhosts written by hand, and the releases that are loaded from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from mod_wsgi_van.isolation.imports.standins import stands
from tests.support.venvs import make_venv

MakeSource = Callable[..., Source]
Load = Callable[[Source], ImportsInstance]

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer().encode()]
"""


@pytest.fixture
def make_source(tmp_path: Path) -> MakeSource:
    """Write ``files`` (path below the vhost: text) and describe the vhost that they make.

    ``app.py`` gets an application after its text, which answers what its ``answer()`` returns.
    """

    def make(files: dict[str, str], host: str = "a.test", **changes: object) -> Source:
        vhost = tmp_path / host
        for name, text in files.items():
            file = vhost / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + (HELLO if name == "wsgi/app.py" else ""))
        (vhost / "wsgi").mkdir(parents=True, exist_ok=True)
        if not (vhost / ".venv" / "bin").exists():
            make_venv(vhost / ".venv")
        packages = vhost / ".venv" / "lib" / "site-packages"
        described = {
            "host": host,
            "directory": str((vhost / "wsgi").resolve()),
            "venv": str((vhost / ".venv").resolve()),
            "site_packages": (str(packages.resolve()),) if packages.exists() else (),
            "module_name": "app",
            "object_name": "app",
            "python": str(vhost / ".venv" / "bin" / "python"),
        }
        return Source(**(described | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def load() -> Iterator[Load]:
    """Load into this process; all is retired at the end, and no stand-in is left."""
    isolation = ImportsIsolation()
    loaded: list[ImportsInstance] = []

    def load(source: Source) -> ImportsInstance:
        loaded.append(isolation.load(source))
        return loaded[-1]

    yield load
    for one in loaded:
        one.retire()
    isolation.shutdown(5)
    assert not [name for name, module in sys.modules.items() if stands(module)]
