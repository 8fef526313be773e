"""The manual: pages of plain Markdown that are installed with the package.

A page begins with ``# Title`` and a sentence that says what the page is for. What stands between
``<!-- settings -->``, ``<!-- codes -->``, ``<!-- symptoms -->``, ``<!-- fitting -->`` or
``<!-- unfit -->`` and ``<!-- end -->`` is made from the tables in the code, and so are the blocks
that ``setup`` writes;
``python -m mod_wsgi_van.manual`` writes it anew.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import fields
from importlib.resources import files

from mod_wsgi_van import blocks
from mod_wsgi_van.blocks import Installation
from mod_wsgi_van.codes import CODES
from mod_wsgi_van.isolation.tested import FITS, FITS_PURE, Trial, trials
from mod_wsgi_van.settings import Settings

_WIDTH = 100
_PART = re.compile(
    r"(<!-- (settings|codes|symptoms|fitting|unfit) -->\n).*?(<!-- end -->)", re.DOTALL
)
_BLOCK = re.compile(
    r"(<!-- (wsgi|dashboard|apache:(?:daemon|tls|embedded)) -->\n```\w+\n).*?```", re.DOTALL
)


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
    parts: dict[str, Callable[[], str]] = {
        "settings": settings,
        "codes": codes,
        "symptoms": symptoms,
        "fitting": fitting,
        "unfit": unfit,
    }
    text = _PART.sub(lambda part: f"{part[1]}\n{parts[part[2]]()}\n{part[3]}", text)
    return _BLOCK.sub(lambda part: f"{part[1]}{_block(part[2])}```", text)


def _block(name: str) -> str:
    """What ``setup`` writes, as the manual shows it."""
    if name == "wsgi":
        return blocks.wsgi_file()
    if name == "dashboard":
        return blocks.dashboard(Installation())
    if name == "apache:daemon":
        return blocks.apache(Installation())
    if name == "apache:embedded":
        return blocks.embedded(Installation())
    text = blocks.apache(Installation(tls="certbot"))
    return text[text.index("<VirtualHost") :]


def settings() -> str:
    """Every setting, as a list in Markdown."""
    items = []
    for each in fields(Settings):
        default = repr(each.default).replace("'", '"')
        of = ", of workers" if each.metadata["scope"] == "process" else ""
        site = each.metadata["site"]
        sites = (
            f", a site's as `{site}`"
            if site not in ("", each.name)
            else ", a site's too" * bool(site)
        )
        kind = f"{each.metadata['unit']}{of}{sites}, default `{default}`"
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


def fitting() -> str:
    """The libraries that fit in the daemon process: versions, Pythons, the largest figure."""
    items = []
    for name, made in itertools.groupby(trials(), lambda trial: trial.name):
        by: dict[str, list[Trial]] = {}
        for of in _by_minor(made).values():
            if versions := _fitting_versions(of):
                by.setdefault(versions, []).extend(trial for trial in of if trial.fits)
        for versions, fits in by.items():
            pythons = ", ".join(_by_minor(fits))
            kb = max(0, *(trial.kb for trial in fits), 0)
            items.append(_item(f"`{name}` {versions} with Python {pythons}: {kb} KB"))
    return "".join(items)


def unfit() -> str:
    """The libraries that do not fit in any version, with what the newest does."""
    items = []
    for name, found in itertools.groupby(trials(), lambda trial: trial.name):
        made = list(found)
        if not any(trial.fits for trial in made):
            items.append(_item(f"`{name}` {made[-1].version} {made[-1].result}"))
    return "".join(items)


def _by_minor(made: Iterable[Trial]) -> dict[str, list[Trial]]:
    by: dict[str, list[Trial]] = {}
    for trial in made:
        by.setdefault(trial.minor, []).append(trial)
    return dict(sorted(by.items(), key=lambda item: int(item[0].partition(".")[2])))


def _fitting_versions(made: list[Trial]) -> str:
    """The runs of versions that fit, as ``1.0 to 1.4, 2.1``."""
    runs = []
    for result, found in itertools.groupby(made, lambda trial: trial.result):
        versions = [trial.version for trial in found]
        if result in (FITS, FITS_PURE):
            last = f" to {versions[-1]}" if len(versions) > 1 else ""
            runs.append(versions[0] + last + " (in Python)" * (result == FITS_PURE))
    return ", ".join(runs)


def _item(*paragraphs: str) -> str:
    lines = []
    for each in paragraphs:
        lines += textwrap.wrap(each, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return "- " + "\n  ".join(lines) + "\n"
