"""Compiled distributions that were tested to reload in the same process, with the figures.

Made by ``python -m integration.benchmarks.reloads``: every library is loaded and retired in one
process again and again; flat is what works each time and grows by less than 50 KB per reload.
"""

from __future__ import annotations

# canonical name -> (version tested, KB of private memory per reload, measured over 50 reloads)
RELOADS_FLAT: dict[str, tuple[str, int]] = {
    "markupsafe": ("3.0.3", 0),
}
