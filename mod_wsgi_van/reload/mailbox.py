"""The one way in which other threads talk to the reload thread."""

from __future__ import annotations

import queue
from dataclasses import dataclass

from mod_wsgi_van.sites.site import Attempt


@dataclass(frozen=True, slots=True)
class Stale:
    """The watcher: what it knows under ``key`` may have changed."""

    key: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A loading thread: an attempt has ended."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Wake:
    """Look at the clock again: there is something new to wait for."""


class Mailbox:
    """Letters in the order in which they came; put() never waits and may be called anywhere.

    A SimpleQueue, whose put() is safe in a callback of the garbage collector too.
    """

    def __init__(self) -> None:
        self._letters: queue.SimpleQueue[object] = queue.SimpleQueue()

    def put(self, letter: object) -> None:
        self._letters.put(letter)

    def take(self, timeout: float | None) -> list[object]:
        """Wait for the first letter, ``timeout`` seconds at most; return all, equal ones once."""
        try:
            letters = [self._letters.get(timeout=timeout)]
        except queue.Empty:
            return []
        return list(dict.fromkeys((*letters, *self.rest())))

    def rest(self) -> list[object]:
        """Return what is here already."""
        letters = []
        while not self._letters.empty():
            letters.append(self._letters.get())
        return letters
