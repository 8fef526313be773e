"""The configuration that the tests run, taken from README.md so that it cannot rot.

A block is the fenced code that follows an HTML comment such as ``<!-- apache:daemon -->``.
"""

from __future__ import annotations

import re

from integration.places import PROJECT

README = PROJECT / "README.md"

DAEMON = "apache:daemon"
EMBEDDED = "apache:embedded"
WSGI = "wsgi"


def block(name: str) -> str:
    """The text of the README's code block of that name."""
    text = README.read_text()
    found = re.findall(rf"<!-- {re.escape(name)} -->\s*```\w*\n(.*?)```", text, re.DOTALL)
    if len(found) != 1:
        raise LookupError(f"README.md has {len(found)} blocks after <!-- {name} -->, not one")
    return str(found[0])


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """``text`` with each old replaced by its new; one that does not occur is an error."""
    for old, new in pairs:
        if old not in text:
            raise LookupError(f"{old!r} is not in the README's block:\n{text}")
        text = text.replace(old, new)
    return text
