"""The configuration that the tests run, taken from README.md and the manual so that it cannot rot.

A block is the fenced code that follows an HTML comment such as ``<!-- apache:daemon -->``.
"""

from __future__ import annotations

import re

from tests.support.places import PROJECT

PAGES = (PROJECT / "README.md", *sorted((PROJECT / "mod_wsgi_van/manual").glob("*.md")))

DAEMON = "apache:daemon"
EMBEDDED = "apache:embedded"
WSGI = "wsgi"

_BLOCK = re.compile(r"^<!-- (\S+) -->\n+```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> dict[str, set[str]]:
    """The name of each block -> its texts: one, unless pages contradict each other."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        for name, text in _BLOCK.findall(page.read_text()):
            found.setdefault(name, set()).add(text)
    return found


def block(name: str) -> str:
    """The text of the block of that name."""
    found = blocks().get(name, set())
    if len(found) != 1:
        raise LookupError(f"the pages have {len(found)} texts after <!-- {name} -->, not one")
    return found.pop()


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """``text`` with each old replaced by its new; one that does not occur is an error."""
    for old, new in pairs:
        if old not in text:
            raise LookupError(f"{old!r} is not in the block:\n{text}")
        text = text.replace(old, new)
    return text
