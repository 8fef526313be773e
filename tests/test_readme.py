"""README.md and the manual agree with the code and with each other."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router, manual
from mod_wsgi_van.codes import CODES

ROOT = Path(__file__).parent.parent
MANUAL = ROOT / "mod_wsgi_van/manual"
FILES = [ROOT / "README.md", *sorted(MANUAL.glob("*.md"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_link_leads_to_a_file(file: Path) -> None:
    for target in re.findall(r"\]\((?!https://)([^)#]+)\)", file.read_text()):
        assert (file.parent / target).is_file(), target


def test_the_readme_leads_to_every_page() -> None:
    linked = re.findall(r"\(mod_wsgi_van/manual/(\w+)\.md\)", (ROOT / "README.md").read_text())
    assert sorted({*linked}) == list(manual.pages())


@pytest.mark.parametrize("page", manual.pages())
def test_a_page_fits_a_terminal(page: str) -> None:
    lines = manual.pages()[page].splitlines()
    assert [line for line in lines if len(line) > 100] == []


def test_every_hook_is_on_its_page() -> None:
    hooks = {name for name in vars(Router) if name.startswith("get_")}
    named = re.findall(r"^- `(\w+)\(", manual.pages()["hooks"], flags=re.M)
    assert sorted(named) == sorted(hooks | {"not_found", "unavailable"})


def test_every_file_that_is_named_in_the_design_exists() -> None:
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", manual.pages()["design"]))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (MANUAL.parent / name).exists()] == []


def test_the_example_of_a_subclass_works(tmp_path: Path) -> None:
    text = manual.pages()["hooks"]
    code = textwrap.dedent(text[text.index("    import logging") : text.index("`path` is the")])
    assert "/srv/sites" in code
    site = tmp_path / "shop.domain.org"
    (site / "wsgi").mkdir(parents=True)
    (site / "wsgi/app.py").write_text("app = lambda environ, start: [b'sold']")
    names: dict[str, Any] = {}
    exec(code.replace("/srv/sites", str(tmp_path)), names)
    router = names["application"].__self__
    try:
        assert router.application({"HTTP_HOST": site.name}, None) == [b"sold"]
        assert router.get_version(site)[0] == site / "wsgi"
    finally:
        router.shutdown()


def test_every_code_that_is_named_exists() -> None:
    for file in FILES:
        assert set(re.findall(r"VAN\d{3}", file.read_text())) <= CODES.keys(), file.name
