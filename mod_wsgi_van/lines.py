"""What comes from a site, as lines of a log: none passes for another's, or drives a terminal."""

from __future__ import annotations

# The control characters but tab, those of 8 bits too, and what else ends a line in Unicode.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029)}


def escape(text: object) -> str:
    """Return a text as one line; of a name that is no UTF-8 the bytes are shown."""
    return str(text).encode("utf-8", "backslashreplace").decode().translate(_CONTROLS)


def marked(host: str, text: str) -> str:
    """Return all lines of a text, such as a traceback, with the site's name before each."""
    return "\n".join(f"{host}: {escape(line)}" for line in text.rstrip().split("\n"))
