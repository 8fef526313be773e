"""Old releases do not pile up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.isolation.cells import answers_alone, make_vhost, run
from tests.isolation.libraries import VERSIONS

OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]  # they differ most


@pytest.mark.parametrize(
    ("version", "cell", "times"),
    [
        (OLDEST, "flask_app", 200),
        (OLDEST, "django_app", 60),
        (NEWEST, "flask_app", 40),
        (NEWEST, "django_app", 60),
    ],
)
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
