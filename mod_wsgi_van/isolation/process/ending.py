"""How workers end: step by step, each with its time, and all within that of a shutdown."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import dataclass

from mod_wsgi_van.isolation.process.handle import Worker

# A worker answers what it has, is told to quit, gets SIGTERM, gets SIGKILL.
DRAIN, QUIT, TERMINATE, KILL = range(4)
TERM_GRACE = 0.3  # seconds
HANG_UP_GRACE = 0.3  # seconds between a closed control socket and the end of the process
# When the first three steps are over at the latest, as shares of the time that a shutdown has.
SHARES = (0.4, 0.75, 0.85)


@dataclass(slots=True)
class Ending:
    """The step that was taken last; the next one follows at ``deadline``."""

    step: int
    deadline: float


class Endings:
    """The workers that are to end. Belongs to the supervisor's thread."""

    def __init__(self, shutdown_timeout: float) -> None:
        self._patience = (shutdown_timeout, shutdown_timeout, TERM_GRACE, math.inf)
        self._latest: tuple[float, ...] = (math.inf,) * 4
        self._endings: dict[Worker, Ending] = {}

    def limit(self, timeout: float) -> None:
        """Whatever the settings say, take all steps within ``timeout`` seconds from now."""
        now = time.monotonic()
        self._latest = (*(now + share * timeout for share in SHARES), math.inf)
        for ending in self._endings.values():
            ending.deadline = min(ending.deadline, self._latest[ending.step])

    def retire(self, worker: Worker) -> None:
        """End it when it has no more requests; called again when that is so."""
        ending = self._endings.get(worker)
        if not worker.busy and (ending is None or ending.step == DRAIN):
            self._enter(worker, QUIT)
        elif ending is None:
            self._enter(worker, DRAIN)

    def kill(self, worker: Worker) -> None:
        self._enter(worker, KILL)

    def hung_up(self, worker: Worker) -> None:
        """It closed its control socket, most often because it ends: nobody can tell it to."""
        ending = self._endings.get(worker)
        if ending is None or ending.step == DRAIN:
            deadline = min(time.monotonic() + HANG_UP_GRACE, self._latest[QUIT])
            self._endings[worker] = Ending(QUIT, deadline)

    def forget(self, worker: Worker) -> None:
        self._endings.pop(worker, None)

    def deadlines(self) -> list[float]:
        return [ending.deadline for ending in self._endings.values()]

    def proceed(self, now: float) -> None:
        """Take the next step with those that have not ended in time."""
        for worker, ending in list(self._endings.items()):
            if ending.deadline <= now:
                self._enter(worker, ending.step + 1)

    def _enter(self, worker: Worker, step: int) -> None:
        if worker.gone.is_set():
            return
        if step == QUIT:
            worker.quit()
        elif step != DRAIN:
            worker.signal(signal.SIGTERM if step == TERMINATE else signal.SIGKILL)
        deadline = min(time.monotonic() + self._patience[step], self._latest[step])
        self._endings[worker] = Ending(step, deadline)
