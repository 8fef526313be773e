import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.cli import httpd, serve
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Unusable
from tests.cli.running import Command, deploy, get
from tests.support.children import descendants, runs
from tests.support.connection import free_port


def test_an_httpd_that_ends_by_itself_is_a_problem(
    base: Path, command: Callable[..., Command]
) -> None:
    running = command("serve", str(base), "--port", "0", "--server", "apache")
    running.wait_ready()
    below = descendants(running.process.pid)
    (top,) = (pid for pid in below if below - {pid} == descendants(pid))
    os.kill(top, signal.SIGKILL)
    assert running.wait() == 1
    assert "httpd ended by itself with status -9" in running.err[-1]
    assert not [pid for pid in below if runs(pid)]
    assert list(running.temporary.iterdir()) == []


def test_static_files_are_served_by_httpd(base: Path, command: Callable[..., Command]) -> None:
    static = base / ".releases/1/static/with space"
    static.mkdir(parents=True)
    (static / "a.css").write_text("of release 1")
    for name in (".env", ".well-known/acme"):
        path = base / ".releases/1/static" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("a file")
    running = command("serve", str(base), "--port", "0", "--server", "apache")
    port = running.wait_ready()
    assert get(port, "A.Example.", "/with%20space/a.css") == (200, "of release 1")
    assert get(port, "a.example", "/with%20space/b.css") == (200, "release 1")
    assert get(port, "a.example", "/with%20space/") == (200, "release 1")
    assert get(port, "a.example", "/.env") == (200, "release 1")
    assert get(port, "a.example", "/%2eenv") == (200, "release 1")
    assert get(port, "a.example", "/.well-known/acme") == (200, "a file")
    deploy(base, 2)
    assert get(port, "a.example", "/with%20space/a.css")[1].startswith("release ")


@pytest.mark.parametrize(
    ("setting", "listen", "words"),
    [
        ({"settle": -1}, f"{serve.ADDRESS}:{free_port()}", "cannot run the router: .*settle"),
        ({}, f"{serve.ADDRESS}:none", "httpd ended with status 1: .*Port must be specified"),
    ],
)
def test_an_httpd_that_cannot_serve_is_told_with_its_own_words(
    setting: dict[str, object], listen: str, words: str, base: Path
) -> None:
    settings = {"base_path": str(base)} | setting
    with Interruption() as interruption, pytest.raises(Unusable, match=words):
        httpd.run(settings, listen, pytest.fail, interruption)
