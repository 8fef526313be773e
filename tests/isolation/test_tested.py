"""What the list of tested libraries says of a library that a site has."""

from __future__ import annotations

import sys

import pytest

from mod_wsgi_van.isolation.tested import (
    FITS,
    FITS_PURE,
    Trial,
    against,
    canonical,
    is_optional,
    package,
    release,
    trials,
)

RUNNING = "{}.{}".format(*sys.version_info)


def trial(name: str, version: str, result: str = FITS, python: str = "3.11.7") -> Trial:
    return Trial(name, version, python, "linux-x86_64", "2026-11-27", 60, 0, result)


LIST = [
    trial("fast-one", "1.0"),
    trial("fast-one", "1.9.3"),
    trial("fast-one", "2.0", "keeps a class"),
    trial("fast-one", "2.4", "does not load for the second time"),
    trial("fast-one", "3.0.0"),
    trial("fast-one", "3.10.1"),
    trial("fast-one", "4.0", FITS, "3.13.0"),
    trial("half", "1.0", FITS_PURE),
    trial("half", "2.0", FITS_PURE),
    trial("half", "3.0"),
    trial("half", "4.0"),
    trial("green", "1.0", "changes signal handlers of the process"),
    trial("single", "1.0"),
]


@pytest.mark.parametrize("version", ["1.0", "1", "1.0.0", "1.5", "1.9.3", "3", "3.2", "3.10.1rc1"])
def test_what_fits_and_what_lies_between_is_welcome(version: str) -> None:
    assert against("Fast_One", version, True, python="3.11", among=LIST) == ""


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("2.0", "keeps a class"),
        ("2.4.0", "does not load for the second time"),
        ("1.9.4", "keeps a class"),  # between one that fits and one that does not
        ("2.9", "does not load for the second time"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_it_does(version: str, reason: str) -> None:
    said = against("fast-one", version, True, python="3.11", among=LIST)
    assert said == f"fast-one {version} {reason}"


@pytest.mark.parametrize("version", ["0.9", "3.10.2", "4.0", "3.11.0", "1!3.0", "", "unknown"])
def test_a_version_beyond_the_tested_ones_is_refused(version: str) -> None:
    said = against("Fast_One", version, True, python="3.11", among=LIST)
    assert said == f"Fast_One {version} was not tested here (1.0 to 3.10.1 were)"


def test_a_range_of_one() -> None:
    assert against("single", "1.0", True, python="3.11", among=LIST) == ""
    said = against("single", "1.1", True, python="3.11", among=LIST)
    assert said == "single 1.1 was not tested here (1.0 was)"


def test_what_was_tested_with_other_pythons_alone() -> None:
    said = against("fast-one", "4.0", True, python="3.12", among=LIST)
    assert said == "fast-one 4.0 was not tested with Python 3.12"
    assert against("fast-one", "4.0", True, python="3.13", among=LIST) == ""


def test_what_nobody_tested() -> None:
    said = against("other", "1.0", True, python="3.11", among=LIST)
    assert said == "other 1.0 is compiled and was not tested here"
    assert against("other", "1.0", False, python="3.11", among=LIST) == ""


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_pure_python_that_changes_the_process_is_refused_in_every_version(python: str) -> None:
    said = against("green", "7.0", False, python=python, among=LIST)
    assert said == "green 7.0 changes signal handlers of the process"


@pytest.mark.parametrize(
    ("version", "optional"), [("1.0", True), ("1.5", True), ("2.5", True), ("3.0", False)]
)
def test_what_fits_without_its_compiled_part_is_welcome_without_it(
    version: str, optional: bool
) -> None:
    assert against("half", version, True, python="3.11", among=LIST) == ""
    assert is_optional("half", version, python="3.11", among=LIST) is optional


def test_an_unknown_version_that_is_loaded_here_all_the_same() -> None:
    assert is_optional("half", "9.0", python="3.11", among=LIST)
    assert not is_optional("fast-one", "9.0", python="3.11", among=LIST)
    assert not is_optional("other", "1.0", python="3.11", among=LIST)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Charset_Normalizer", "charset_normalizer"), ("zope.interface", "zope.interface")],
)
def test_the_package_of_a_distribution(name: str, expected: str) -> None:
    assert package(name) == expected


def test_the_list_is_in_order_and_whole() -> None:
    made = trials()
    assert list(made) == sorted(made, key=lambda each: (each.name, release(each.version)))
    for each in made:
        assert each.name == canonical(each.name) and release(each.version), each
        assert each.result and each.reloads >= 60 and each.platform and each.date, each
        if each.fits:
            assert each.kb <= 50, each
