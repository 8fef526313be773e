"""What a site in this process prints begins with its name, line by line."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from tests.support.client import ask

APP = """
import io, logging, sys, threading, traceback
print("at import")
handler = logging.StreamHandler()
logging.getLogger().addHandler(handler)
def answer():
    print("two", "words", end="", file=sys.stderr)
    thread = threading.Thread(target=print, args=("between",))
    thread.start()
    thread.join()
    print(" and more\\nforged: \\x1b[31m", file=sys.stderr)
    sys.stdout.write("begun")
    sys.stdout.flush()
    logging.warning("logged")
    try:
        1 / 0
    except ZeroDivisionError:
        traceback.print_exc()
    sys.stdout.writelines(["a\\n", "\\n"])
    return f"{isinstance(sys.stderr, io.StringIO)} {sys.stdout.getvalue().count('begun')}"
"""
EXPECTED = ["at import", "between", "two words and more", r"forged: \x1b[31m", "begun", "logged"]


def test_every_line_has_the_name(
    load: Any, make_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, written)
    loaded = load(make_source({"wsgi/app.py": APP}))
    assert ask(loaded.application).body == "True 1"
    lines = written.getvalue().splitlines()
    assert all(line.startswith("[a.test] ") for line in lines)
    texts = [line.removeprefix("[a.test] ") for line in lines]
    assert texts[:6] == EXPECTED and texts[6].startswith("Traceback")
    assert texts[-3:] == ["ZeroDivisionError: division by zero", "a", ""]
