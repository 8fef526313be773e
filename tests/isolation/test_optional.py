"""Compiled parts that a release does without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mod_wsgi_van.errors import ImportFailed
from mod_wsgi_van.isolation.imports import ImportsIsolation
from tests.isolation.conftest import MakeSource
from tests.isolation.test_contract import get

# What stands in the place of compiled modules is none, so that an import of it fails.
FILES = {
    "wsgi/app.py": "from fast.inner import part\nanswer = lambda: part.KIND\n",
    "wsgi/fast/__init__.py": "",
    "wsgi/fast/inner/__init__.py": "",
    "wsgi/fast/inner/part.py": "KIND = 'python'",
    "wsgi/fast/inner/part.so": "compiled",
    "wsgi/faster/__init__.py": "",
    "wsgi/faster/part.py": "",
    "wsgi/faster/part.so": "compiled",
}


@pytest.fixture
def isolation() -> Iterator[ImportsIsolation]:
    made = ImportsIsolation()
    yield made
    made.shutdown(5)


def test_a_package_whose_compiled_part_is_left_out(
    isolation: ImportsIsolation, make_source: MakeSource
) -> None:
    release = isolation.load(make_source(FILES, pure=("fast",)))
    assert get(release) == "python"
    release.retire()


@pytest.mark.parametrize(
    ("pure", "imported"), [((), "fast.inner.part"), (("fast",), "faster.part")]
)
def test_compiled_modules_of_all_others_are_loaded(
    isolation: ImportsIsolation, make_source: MakeSource, pure: tuple[str, ...], imported: str
) -> None:
    files = {**FILES, "wsgi/app.py": f"import {imported}\n"}
    with pytest.raises(ImportFailed, match=r"part\.so"):
        isolation.load(make_source(files, pure=pure))
