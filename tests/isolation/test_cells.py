"""The isolation matrix with real libraries, on every Python that is found here."""

from __future__ import annotations

from pathlib import Path

import pytest

from mod_wsgi_van.isolation.contract import Source
from tests.isolation.cells import (
    BEYOND,
    PASSING,
    Result,
    answers_alone,
    drive,
    make_vhost,
    matrix,
)
from tests.isolation.libraries import VERSIONS

on_every_python = pytest.mark.parametrize(
    "version", VERSIONS, ids=["{}.{}".format(*version) for version in VERSIONS]
)


def two_vhosts(path: Path, version: tuple[int, int]) -> list[Source]:
    return [make_vhost(path / name, name, version) for name in ("one", "two")]


@on_every_python
@pytest.mark.parametrize("cell", PASSING)
def test_two_vhosts_eight_threads(version: tuple[int, int], cell: str) -> None:
    result = matrix(version)
    assert cell not in result.failures, result.failures[cell][0]
    assert result.answered >= len(PASSING) * 2 * 8


@on_every_python
class TestBeyond:
    """What no private import system keeps apart: a worker process does."""

    def ask(
        self, path: Path, version: tuple[int, int], cell: str, *, apart: bool = False
    ) -> Result:
        sources = two_vhosts(path, version)
        expected = [answers_alone(source, BEYOND, 2) for source in sources]
        return drive(version, sources, cells=[cell], turns=2, expected=expected, apart=apart)

    def test_two_versions_of_lxml_in_one_thread(
        self, version: tuple[int, int], tmp_path: Path
    ) -> None:
        result = self.ask(tmp_path, version, "lxml_trees")
        for text in result.failures["lxml_trees"]:
            assert "TypeError: Cannot convert lxml.etree._ParserDictionaryContext" in text

    def test_two_versions_of_lxml_in_threads_of_their_own(
        self, version: tuple[int, int], tmp_path: Path
    ) -> None:
        result = self.ask(tmp_path, version, "lxml_trees", apart=True)
        assert result.failures == {} and result.answered == 8 * 2


# Compiled libraries that refuse a sub-interpreter from Python 3.12 or 3.13 on.
REFUSING = {"numpy_arrays", "cryptography_fernet", "pydantic_models"}


@on_every_python
def test_in_a_sub_interpreter(version: tuple[int, int], tmp_path: Path) -> None:
    """mod_wsgi's default: no fork there (CPython forbids it), and on 3.13 some refuse to load."""
    cells = [cell for cell in PASSING if cell != "process_fork"]
    sources = two_vhosts(tmp_path, version)
    expected = [answers_alone(source, tuple(cells), 2) for source in sources]
    result = drive(version, sources, cells=cells, turns=2, expected=expected, subinterpreter=True)
    refused = REFUSING if version >= (3, 13) else set()
    assert set(result.failures) == refused, {k: v[0] for k, v in result.failures.items()}


@on_every_python
def test_stress(version: tuple[int, int], tmp_path: Path) -> None:
    """Random cells from eight threads while a third vhost is loaded and retired throughout."""
    slow = ("process_fork", "process_spawn", "os_environ")
    cells = [cell for cell in PASSING if cell not in slow]
    # Not twice in one process from one environment, see facts on reloading: numpy and the like.
    churned = [cell for cell in cells if cell not in COMPILED]
    sources = [*two_vhosts(tmp_path, version), make_vhost(tmp_path / "third", "one", version)]
    expected = [answers_alone(source, tuple(cells), 3) for source in sources[:2]]
    result = drive(version, sources, cells=cells, churned=churned, calls=250, expected=expected)
    assert result.failures == {}, {k: (len(v), v[0]) for k, v in result.failures.items()}
    assert result.answered >= 8 * 250


COMPILED = ("numpy_arrays", "cryptography_fernet", "cffi_calls", "pydantic_models",
            "yaml_documents", "sqlalchemy_rows")  # fmt: skip
