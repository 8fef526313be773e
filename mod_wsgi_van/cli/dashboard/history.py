"""Memory and requests of each site over the last half hour."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

STEP = 10.0  # seconds between two points
POINTS = 180


class History:
    """A ring of points for each site: 10,000 sites take 25 MB. Not for two threads at once."""

    def __init__(self) -> None:
        self._count = 0
        self._times = array("d", [math.nan] * POINTS)
        self._of: dict[str, tuple[array[float], array[float]]] = {}

    def due(self, now: float) -> bool:
        return not self._count or now - self._times[(self._count - 1) % POINTS] >= STEP

    def record(self, now: float, values: Mapping[str, tuple[float, float]]) -> None:
        """``values``: bytes, and requests in all, of each site that there is."""
        slot = self._count % POINTS
        self._times[slot] = now
        for name in self._of.keys() - values.keys():
            del self._of[name]
        for name, (size, requests) in values.items():
            if (rings := self._of.get(name)) is None:
                nothing = [math.nan] * POINTS
                rings = self._of[name] = (array("f", nothing), array("d", nothing))
            rings[0][slot], rings[1][slot] = size, requests
        self._count += 1

    def rate(self, name: str, now: float, requests: float) -> float:
        """Requests a second since the last point but one, which is 10 to 20 s ago."""
        rings = self._of.get(name)
        for back in (2, 1):
            slot = (self._count - back) % POINTS
            if rings and not math.isnan(then := rings[1][slot]) and now > self._times[slot]:
                return max(0.0, requests - then) / (now - self._times[slot])
        return 0.0

    def points(self, name: str) -> list[tuple[float, float, float]]:
        """Time, bytes and requests a second up to then, the oldest first."""
        rings = self._of.get(name)
        found: list[tuple[float, float, float]] = []
        before = math.nan
        for number in range(max(0, self._count - POINTS), self._count) if rings else ():
            slot = number % POINTS
            assert rings
            time, size, requests = self._times[slot], rings[0][slot], rings[1][slot]
            if not math.isnan(requests) and not math.isnan(before):
                passed = time - self._times[(number - 1) % POINTS]
                rate = max(0.0, requests - before) / passed if passed > 0 else 0.0
                found.append((round(time, 1), size, round(rate, 3)))
            before = requests
        return found
