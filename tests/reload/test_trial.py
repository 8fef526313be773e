"""A release has to answer the path that ``check`` names before it goes live."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.reload.trial import check, make_environ
from tests.support.client import ask, get, wait_for
from tests.support.log import errors
from tests.support.vhosts import app, deploy, release, write
from tests.support.waiting import wait

# Answers "text" anywhere, and /health as the body says.
CHECKED = """
from wsgiref.validate import validator
@validator
def app(environ, start_response):
    if environ["PATH_INFO"] == "/health":
        {health}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{text!r}.encode()]
"""
WRONG = {
    "a status": ('start_response("503 No", [("Content-Type", "text/plain")]); return [b""]', "503"),
    "an exception": ("raise ValueError('no database')", "ValueError: no database"),
    "an exit": ("raise SystemExit('enough')", "SystemExit: enough"),
    "no end": ("import threading; threading.Event().wait(5)", "has not answered"),
}


@pytest.mark.parametrize("isolation", ["imports", "process"])
@pytest.mark.parametrize(("health", "text"), WRONG.values(), ids=WRONG)
def test_a_release_that_cannot_answer_does_not_go_live(
    tmp_path: Path,
    make_router: Any,
    caplog: pytest.LogCaptureFixture,
    isolation: str,
    health: str,
    text: str,
) -> None:
    one = CHECKED.format(health="pass", text="1")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, one))
    router = make_router(
        isolation=isolation, check="/health?by=van", load_timeout=2, shutdown_timeout=0.2
    )
    assert get(router.application, "a.test").body == "1"
    two = CHECKED.format(health=health, text="2")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, two))
    # On a busy machine VAN004 may come before it.
    message = wait(lambda: [m for m in errors(caplog) if "VAN044" in m], "the error in the log")[0]
    assert message.startswith("a.test: VAN044: ") and text in message
    assert "/health?by=van" in message and f"{tmp_path}/.builds/a.test/1/wsgi goes on" in message
    assert get(router.application, "a.test").body == "1"
    three = CHECKED.format(health="pass", text="3")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 3, three))
    wait_for(router.application, "a.test", "3")


@pytest.mark.parametrize("isolation", ["imports", "process"])
def test_a_first_load_is_checked_by_what_the_site_says(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, isolation: str
) -> None:
    caplog.set_level(logging.INFO)
    wsgi = tmp_path / "a.test" / "wsgi"
    write(tmp_path / "a.test" / "van.toml", 'check = "/health"')
    write(wsgi / "app.py", CHECKED.format(health="1 / 0", text="1"))
    router = make_router(isolation=isolation)
    assert get(router.application, "a.test").status == 500
    (message,) = errors(caplog)
    assert "VAN044" in message and "ZeroDivisionError" in message
    write(wsgi / "app.py", CHECKED.format(health="pass", text="2"))
    wait_for(router.application, "a.test", "2")


def test_the_request_is_like_one_of_a_server() -> None:
    source = Source("a.test", "/a/wsgi", "", (), "app", "app", "")
    environ = make_environ(source, "/a%20b?c=d")
    assert environ["PATH_INFO"] == "/a b" and environ["QUERY_STRING"] == "c=d"
    assert environ["HTTP_HOST"] == "a.test" and environ["REMOTE_ADDR"] == "127.0.0.1"
    namespace: dict[str, Any] = {}
    exec(app("fine"), namespace)
    check(source, namespace["app"], "/", 5)
    more = {key: value for key, value in environ.items() if key != "wsgi.input"}
    assert ask(namespace["app"], **more).body == "fine"


@pytest.mark.parametrize("path", ["health", "http://a.test/", "/a b", "/a#b", "/\n", 1])
def test_what_is_no_path(make_router: Any, path: Any) -> None:
    with pytest.raises(ValueError, match="check"):
        make_router(check=path)
