"""How long to wait before another worker is started, when they end or fail at once."""

from __future__ import annotations

import time
from dataclasses import dataclass

BEFORE_PAUSE = 3  # deaths, one after the other
LONGEST = 60.0  # seconds


@dataclass(slots=True)
class Pause:
    """A death or two are followed at once by a fresh worker, later ones after 1, 2, 4 ... s."""

    deaths: int = 0  # at once, one after the other
    _until: float = 0.0  # monotonic

    def left(self) -> float:
        """Seconds until a worker may be started."""
        return max(0.0, self._until - time.monotonic())

    def died(self, *, at_once: bool) -> float:
        """Return how many seconds no worker is to be started."""
        return self._set(self.deaths + 1 if at_once else 0)

    def not_started(self) -> float:
        """As ``died``, where none could be started: a fresh one would fail as well."""
        return self._set(max(BEFORE_PAUSE, self.deaths + 1))

    def _set(self, deaths: int) -> float:
        self.deaths = deaths
        over = deaths - BEFORE_PAUSE
        seconds = 0.0 if over < 0 else min(LONGEST, 2.0**over)
        self._until = time.monotonic() + seconds
        return seconds
