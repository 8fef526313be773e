"""The parts of the manual that are made from the tables in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mod_wsgi_van
from mod_wsgi_van import codes, manual

PACKAGE = Path(mod_wsgi_van.__file__).parent


@pytest.mark.parametrize("page", manual.pages())
def test_the_generated_parts_of_a_page_are_those_of_the_code(page: str) -> None:
    text = manual.pages()[page]
    assert text == manual.generated(text), "write them anew: python -m mod_wsgi_van.manual"


def test_the_tables_are_in_the_manual() -> None:
    whole = "".join(manual.pages().values())
    for part in (manual.settings(), manual.codes(), manual.symptoms()):
        assert part in whole


@pytest.mark.parametrize("page", manual.pages())
def test_a_page_begins_with_a_title_and_what_it_is_for(page: str) -> None:
    assert re.match(r"# [A-Z].*\n\n[A-Z]", manual.pages()[page])
    assert manual.summary(manual.pages()[page]).endswith(".")


def test_every_code_that_can_be_logged_is_explained_and_no_other() -> None:
    sources = (path for path in PACKAGE.rglob("*.py") if path != Path(codes.__file__))
    logged = {code for path in sources for code in re.findall(r"VAN\d{3}", path.read_text())}
    assert logged == codes.CODES.keys()
    assert list(codes.CODES) == sorted(codes.CODES)


def test_every_sentence_of_a_code_has_an_end() -> None:
    for explained in codes.CODES.values():
        for text in (explained.cause, explained.outcome, explained.action):
            assert re.fullmatch(r"[A-Za-z].*\.", text), text
