"""How workers end: step by step, each with its time, and all within that of a shutdown."""

from __future__ import annotations

import math
import signal
import time

from mod_wsgi_van.isolation.process.handle import Worker

# A worker answers what it has, is told to quit, gets SIGTERM, gets SIGKILL.
DRAIN, QUIT, TERMINATE, KILL = range(4)
TERM_GRACE = 0.3  # seconds
HANG_UP_GRACE = 0.3  # seconds between a closed control socket and the end of the process
# When the first three steps are over at the latest, as shares of the time that a shutdown has.
SHARES = (0.4, 0.75, 0.85)


class Endings:
    """The workers that are to end. Belongs to the supervisor's thread."""

    def __init__(self, shutdown_timeout: float) -> None:
        self._patience = (shutdown_timeout, shutdown_timeout, TERM_GRACE, math.inf)
        self._latest: tuple[float, ...] = (math.inf,) * 4
        # The step that was taken last, and when the next one follows.
        self._endings: dict[Worker, tuple[int, float]] = {}

    def limit(self, timeout: float) -> None:
        """Whatever the settings say, take all steps within ``timeout`` seconds from now."""
        now = time.monotonic()
        self._latest = (*(now + share * timeout for share in SHARES), math.inf)
        for worker, (step, deadline) in self._endings.items():
            self._endings[worker] = step, min(deadline, self._latest[step])

    def retire(self, worker: Worker, drain: float = 0) -> None:
        """End it when it has no more requests; called again when that is so."""
        if not worker.busy and self._is_untold(worker):
            self._enter(worker, QUIT)
        elif worker not in self._endings and not worker.gone.is_set():
            self._set(worker, DRAIN, max(drain, self._patience[DRAIN]))

    def kill(self, worker: Worker) -> None:
        self._enter(worker, KILL)

    def hung_up(self, worker: Worker) -> None:
        """It closed its control socket, most often because it ends: nobody can tell it to."""
        if self._is_untold(worker):
            self._set(worker, QUIT, HANG_UP_GRACE)

    def forget(self, worker: Worker) -> None:
        self._endings.pop(worker, None)

    def deadlines(self) -> list[float]:
        return [deadline for _, deadline in self._endings.values()]

    def proceed(self, now: float) -> None:
        """Take the next step with those that have not ended in time."""
        for worker, (step, deadline) in list(self._endings.items()):
            if deadline <= now:
                self._enter(worker, step + 1)

    def _is_untold(self, worker: Worker) -> bool:
        return self._endings.get(worker, (DRAIN,))[0] == DRAIN

    def _enter(self, worker: Worker, step: int) -> None:
        if worker.gone.is_set():
            return
        if step == QUIT:
            worker.quit()
        else:
            worker.signal(signal.SIGTERM if step == TERMINATE else signal.SIGKILL)
        self._set(worker, step, self._patience[step])

    def _set(self, worker: Worker, step: int, patience: float) -> None:
        self._endings[worker] = step, min(time.monotonic() + patience, self._latest[step])
