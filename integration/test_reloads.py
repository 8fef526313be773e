"""The command that finds out which libraries belong in the daemon process."""

from __future__ import annotations

import platform
import sys

from integration.reloads.trial import Python, try_library
from mod_wsgi_van.isolation.tested import FITS, release

PYTHON = Python(sys.executable, platform.python_version())


def test_a_library_that_fits() -> None:
    made = try_library("xxhash", PYTHON, 3)
    assert [each.result for each in made] == [FITS] * len(made)
    assert made[-1].reloads == 3 and release(made[-1].version) > release("3.1")


def test_a_library_that_changes_the_process() -> None:
    assert {each.result for each in try_library("setproctitle", PYTHON, 3)} == {
        "changes the process: its name"
    }
