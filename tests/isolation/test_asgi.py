"""ASGI applications are refused when they are loaded, and served through a2wsgi."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import a2wsgi
import pytest

from mod_wsgi_van.errors import BadObject
from mod_wsgi_van.isolation.contract import Isolation
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.isolation.process.worker import is_asgi
from mod_wsgi_van.settings import Settings
from tests.support.client import ask

ASYNC = "async def {}scope, receive, send): pass"
REFUSED = {
    "a coroutine function": ASYNC.format("app("),
    "an instance": f"class A:\n    {ASYNC.format('__call__(self, ')}\napp = A()",
    "a method": f"class A:\n    {ASYNC.format('serve(self, ')}\napp = A().serve",
    "a class": "class app:\n    def __init__(self, scope, receive, send): pass",
    "a plain function": "def app(scope, receive, send): pass",
    "a partial": f"import functools\n{ASYNC.format('run(')}\napp = functools.partial(run)",
    "ASGI 2": "def app(scope): pass",
    "ASGI 2, a class": "class app:\n    def __init__(self, scope): pass",
}
TAKEN = {
    "a function": "def app(environ, start_response): pass",
    "a class": "class app:\n    def __init__(self, environ, start_response): pass",
    "an instance": "class A:\n    def __call__(self, environ, start_response): pass\napp = A()",
    "more parameters": "def app(environ, start_response, scope=1, receive=2): pass",
    "built in": "app = print",
    "no signature": "class A: pass\nA.__call__ = print\napp = A()",
    "a class without": "class app: pass",
}
MIDDLEWARE = """
from a2wsgi import ASGIMiddleware

async def asgi(scope, receive, send):
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})

app = ASGIMiddleware(asgi)
"""


@pytest.fixture(params=["imports", "process"])
def isolation(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    imports = request.param == "imports"
    made: Isolation = ImportsIsolation() if imports else ProcessIsolation(Settings())
    yield made
    made.shutdown(5)


def run(source: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace["app"]


@pytest.mark.parametrize("source", REFUSED.values(), ids=REFUSED)
def test_what_is_asgi(source: str) -> None:
    assert is_asgi(run(source))


@pytest.mark.parametrize("source", TAKEN.values(), ids=TAKEN)
def test_what_is_not(source: str) -> None:
    assert not is_asgi(run(source))


@pytest.mark.parametrize("factory", [False, True])
def test_it_is_refused_when_it_is_loaded(
    isolation: Isolation, make_source: Any, factory: bool
) -> None:
    code = REFUSED["an instance"] + "\ndef make(): return app\n"
    names = {"module_name": "asgi", "object_name": "make" if factory else "app"}
    source = make_source({"wsgi/asgi.py": code}, factory=factory, **names)
    with pytest.raises(BadObject, match=r"is an ASGI application.*a2wsgi.*mod_proxy") as caught:
        isolation.load(source)
    assert caught.value.code == "VAN003"


def test_a2wsgi_serves_it(make_source: Any, tmp_path: Path) -> None:
    """In a worker, as the manual says: its event loop has a thread that never ends."""
    isolation = ProcessIsolation(Settings())
    source = make_source(
        {"wsgi/asgi_app.py": MIDDLEWARE, ".venv/lib/site-packages/empty.py": ""},
        module_name="asgi_app",
    )
    package = Path(a2wsgi.__file__).parent
    shutil.copytree(package, Path(source.site_packages[0]) / "a2wsgi")
    loaded = isolation.load(source)
    try:
        for number in range(3):
            assert ask(loaded.application, f"/path/{number}").body == f"/path/{number}"
    finally:
        loaded.retire()
        isolation.shutdown(5)
