"""A flood of output, whatever its shape, stays below the rate, and one line tells of it."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.isolation.process.output import RATE
from tests.isolation.process.calling import source, vhost
from tests.support.client import ask
from tests.support.log import logged
from tests.support.waiting import wait

SHAPES = {
    "lines": "b'x' * 99 + b'\\n'",
    "empty lines": "b'\\n' * 4096",
    "one endless line": "b'x' * 4096",
    "tiny": "b'x\\n'",
    "huge": "b'x' * 1_000_000 + b'\\n'",
    "NULs": "b'\\0' * 4096",
    "just too long": "b'x' * 8193 + b'\\n'",
}
APP = """
import os, subprocess, sys, time
code = r'''
import os, time
end = time.monotonic() + 1.5
while time.monotonic() < end:
    os.write(2, {shape})
'''
def flood():
    if {how!r} == "grandchild":
        subprocess.check_call([sys.executable, "-c", code])
    else:
        exec(code, {{}})
if {how!r} == "import":
    flood()
def app(environ, start_response):
    if {how!r} != "import":
        flood()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


@pytest.mark.parametrize(
    ("shape", "how"),
    [*((shape, "request") for shape in SHAPES), ("lines", "import"), ("lines", "grandchild")],
)
def test_a_flood(
    make_isolation: Callable[..., ProcessIsolation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    shape: str,
    how: str,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    vhost(tmp_path, APP.format(shape=SHAPES[shape], how=how))
    began = time.monotonic()
    loaded = make_isolation().load(source(tmp_path))
    assert ask(loaded.application).body == "done"
    taken = time.monotonic() - began
    assert len(written.getvalue()) < RATE * (taken + 1) + 40_000  # a line more, of NULs
    wait(lambda: logged(caplog, "VAN045"), "the line in the log")
    assert logged(caplog, "VAN045") == 1
    assert all(line.startswith("[a.test] ") for line in written.getvalue().splitlines())
    assert caplog.records[-1].getMessage().startswith("a.test: VAN045: ")
    loaded.retire()
