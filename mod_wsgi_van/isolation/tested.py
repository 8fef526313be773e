"""Compiled distributions that were tested to reload in the same process, with the figures.

The figures are made by ``python -m integration.benchmarks.reloads``: every library is loaded, used
and retired in one process 100 times; flat is what works each time and grows by less than 50 KB per
reload. Growing or refused were then: multidict (346 KB), brotli (285), SQLAlchemy (10,289), PyYAML
("already imported").

Flat is not enough to stand here. What a C module takes from Python code, a class of exceptions for
instance, it keeps for the whole process: the next release, or another vhost whose environment
shares the file, would get the class of the first. So these were left out though flat: simplejson,
ujson, orjson, msgpack, regex, zope.interface, wrapt, yarl (for multidict), greenlet, bcrypt,
psutil, rpds-py.
"""

from __future__ import annotations

# canonical name -> (version tested, KB of private memory per reload)
RELOADS_FLAT: dict[str, tuple[str, int]] = {
    "charset-normalizer": ("3.4.4", 0),
    "frozenlist": ("1.8.0", 1),
    "markupsafe": ("3.0.3", 0),
    "propcache": ("0.4.1", 0),
}
