"""The manual: pages of plain Markdown that are installed with the package.

A page begins with ``# Title`` and a sentence that says what the page is for. What stands between
``<!-- settings -->``, ``<!-- codes -->`` or ``<!-- symptoms -->`` and ``<!-- end -->`` is made from
the tables in the code; ``python -m mod_wsgi_van.manual`` writes it anew.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import fields
from importlib.resources import files

from mod_wsgi_van.codes import CODES
from mod_wsgi_van.settings import Settings

_WIDTH = 100
_PART = re.compile(r"(<!-- (settings|codes|symptoms) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[str, str]:
    """The text of every page by its name, in the order of the names."""
    found = (each for each in files(__name__).iterdir() if each.name.endswith(".md"))
    texts = {each.name.removesuffix(".md"): each.read_text(encoding="utf-8") for each in found}
    return dict(sorted(texts.items()))


def summary(text: str) -> str:
    """What the page is for: its first paragraph after the title, on one line."""
    return " ".join(text.split("\n\n")[1].split())


def generated(text: str) -> str:
    """``text`` with its parts that are made from the code."""
    parts = {"settings": settings, "codes": codes, "symptoms": symptoms}
    return _PART.sub(lambda part: f"{part[1]}\n{parts[part[2]]()}\n{part[3]}", text)


def settings() -> str:
    """Every setting, as a list in Markdown."""
    items = []
    for each in fields(Settings):
        default = repr(each.default).replace("'", '"')
        of = ", of workers" if each.metadata["scope"] == "process" else ""
        kind = f"{each.metadata['unit']}{of}, default `{default}`"
        items.append(_item(f"`{each.name}` ({kind}): {each.metadata['help']}."))
    return "".join(items)


def codes() -> str:
    """Every code with what it says, as a list in Markdown."""
    return "".join(
        _item(f"**{name}** {code.cause}", f"Outcome: {code.outcome}", f"Action: {code.action}")
        for name, code in CODES.items()
    )


def symptoms() -> str:
    """The codes by what an operator sees, as a list in Markdown."""
    by: dict[str, list[str]] = {}
    for name, code in CODES.items():
        for symptom in code.symptoms:
            by.setdefault(symptom, []).append(name)
    return "".join(_item(f"{symptom}: {', '.join(by[symptom])}.") for symptom in sorted(by))


def _item(*paragraphs: str) -> str:
    lines = []
    for each in paragraphs:
        lines += textwrap.wrap(each, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return "- " + "\n  ".join(lines) + "\n"
