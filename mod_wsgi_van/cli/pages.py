"""Shows the manual and explains the codes, on a server without a network as well."""

from __future__ import annotations

import os
import pydoc
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import click

from mod_wsgi_van import manual
from mod_wsgi_van.codes import CODES


def name(text: str) -> str:
    """Check the name of a page."""
    if text not in manual.pages():
        known = ", ".join(manual.pages())
        raise click.BadParameter(f"there is no page {text!r}; the pages are {known}")
    return text


def beginning_with(context: click.Context, argument: click.Parameter, begun: str) -> list[str]:
    """The pages that a shell offers."""
    return [each for each in manual.pages() if each.startswith(begun)]


def code(text: str) -> str:
    """Read a code: VAN007, van007 and 7 are the same."""
    wanted = f"VAN{text.lower().removeprefix('van'):0>3}"
    if wanted not in CODES:
        raise click.BadParameter(f"there is no code {text!r}; mod-wsgi-van explain lists all")
    return wanted


def show(page: str | None) -> None:
    """Show a page, through a pager where a terminal is; without a name list all pages."""
    pages = manual.pages()
    if page is None:
        _write(_columns({each: manual.summary(text) for each, text in pages.items()}), print)
    else:
        # Comments mark what is generated or tested: nothing to read.
        text = re.sub(r"^<!-- .* -->\n\n?", "", pages[page], flags=re.MULTILINE)
        _write(text, pydoc.pager)


def explain(code: str | None) -> None:
    """Say cause, outcome and action of a code; without one list all codes."""
    if code is None:
        _write(_columns({each: explained.cause for each, explained in CODES.items()}), print)
        return
    lines = [code]
    for word in ("cause", "outcome", "action"):
        text = f"{word + ':':9}{getattr(CODES[code], word)}"
        lines.append(textwrap.fill(text, 79, subsequent_indent=" " * 9))
    _write("\n".join(lines), print)


def _write(text: str, how: Callable[[str], object]) -> None:
    try:
        how(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough; what is left would fail at the exit
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _columns(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{key:{width}}  {text}" for key, text in rows.items())
