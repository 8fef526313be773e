"""Old releases do not pile up."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import environments
from .cells import answers_alone, make_vhost, run

VERSIONS = [version for version in environments.VERSIONS if environments.interpreter(version)]
EVERY_PYTHON = [*VERSIONS[:1], *VERSIONS[-1:]]  # the oldest and the newest: they differ most


@pytest.mark.parametrize("version", EVERY_PYTHON, ids=str)
@pytest.mark.parametrize(("cell", "times"), [("flask_app", 200), ("django_app", 60)])
def test_memory_stays_and_no_release_but_the_current(
    version: tuple[int, int], cell: str, times: int, tmp_path: Path
) -> None:
    source = make_vhost(tmp_path / "vhost", "two", version)
    answers_alone(source, (cell,), 1)  # compiles what is installed, makes Django's database
    found = run(version, "reloads.py", [source], cell=cell, times=times)
    memory = found["memory"]
    assert len(memory) == times
    assert memory[-1] < 1.5 * memory[9], memory
    assert found["alive"] == 1
