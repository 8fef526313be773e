"""SIGINT, SIGTERM and SIGHUP end the command in the same orderly way."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While entered, the first of the signals raises KeyboardInterrupt in the main thread.

    Later ones are ignored: the end is under way and takes a bounded time.
    """

    def __init__(self) -> None:
        self._held = False
        self._seen = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        for number in _SIGNALS:
            # SIGHUP stays ignored below nohup. SIGINT does not: a shell ignores SIGINT for
            # everything that a script starts with &.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self._seen = not self._seen, True
        if first and not self._held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Put the exception off: a process that is being started must not be lost."""
        before, self._held = self._seen, True
        yield
        self._held = False
        if self._seen and not before:
            raise KeyboardInterrupt
