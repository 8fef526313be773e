"""What mod-wsgi-van 1.0.0 did under the same httpd, and what this router did in this run.

The figures of 1.0.0 were measured with processes=1 threads=8; `python -m integration.benchmarks`
runs it beside this router again, where speed is what is compared.
"""

from __future__ import annotations

THEIRS = {
    "same-named modules: plain": "22 to 28 % wrong or 500",
    "same-named modules: 2 ms of work": "50 % wrong or 500",
    "same-named modules: lazy import_module": "48 % wrong or 500",
    "same-named modules: pickle": "99.8 % wrong or 500",
    "same-named modules: Flask 2 + Flask 3": "97 % wrong or 500",
    "same-named modules: Django 4 + Django 5": "50 to 83 % wrong or 500",
    "swap to live": "median 514 ms, max 981 ms",
    "maintenance on or off": "there is none",
    "100 deploys under load": "28 % bad: mixed, 500s, going backwards",
    "unknown host": "500 and a traceback",
    "host with port": "500 and a traceback",
    "upper case": "500 and a traceback",
    "trailing dot": "500 and a traceback",
    "HTTP/1.0 without Host": "500 and a traceback",
    "broken deploy over a working application": "the site is down; recompiled at every request",
    "sys.exit() at import": "the watcher thread ends: nothing reloads again",
    "close() of the response": "never called: no request_finished in Django",
    "release with the same mtimes": "not noticed",
    "edit in place": "not noticed",
    "new file in a subpackage": "not noticed",
    "memory over 60 reloads of Django 5.2": "60 MB -> 1,272 MB",
    "numpy 2": "fails after any redeploy",
}

_ours: dict[str, list[tuple[str, str]]] = {}


def record(row: str, where: str, ours: str) -> None:
    """Note what this router did in ``row``; ``where`` says under which mod_wsgi and mode."""
    if row not in THEIRS:
        raise KeyError(f"1.0.0 has no row {row!r}")
    _ours.setdefault(row, []).append((where, ours))


def table() -> list[str]:
    """The rows that were measured in this run, as lines; none when none were."""
    lines = []
    for row, theirs in THEIRS.items():
        for where, ours in _ours.get(row, ()):
            lines.append(f"{row:42} | {theirs:46} | {ours} ({where})")
    return [f"{'row':42} | {'mod-wsgi-van 1.0.0':46} | this router", *lines] if lines else []
