"""What a worker writes to stderr and stdout, as lines with the site's name for the router's.

No more of them than RATE bytes in a second, whatever their shape: the rest is read and dropped, for
a worker that had to wait for the log would hold the server's threads.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque

from mod_wsgi_van.lines import escape

log = logging.getLogger(__name__)

LINE_BYTES = 8192
READ_BYTES = 65536
TAIL_LINES = 20
RATE = 512 * 1024  # bytes a second that reach the log, as they are written there; so many at once
_SAY_AGAIN = 60.0  # seconds until a flood that goes on is mentioned again


class Output:
    """Splits the bytes of one pipe into lines. Used by the supervisor's thread alone."""

    def __init__(self, fd: int, host: str) -> None:
        self.fd = fd
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.dropped = 0  # bytes that nothing was said of yet
        self._host = host
        self._mark = f"[{host}] "
        self._begun = b""
        self._allowed = float(RATE)
        self._at = time.monotonic()  # of the last refill
        self._since = 0.0  # of the first drop that nothing was said of

    def pump(self) -> int | None:
        """Pass on what there is, one read of it; how many bytes, None at the end."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            return None
        self._refill()
        if self._allowed <= 0:
            self._drop(self._begun + data)
            self._begun = b""
            return len(data) or None
        block = self._begun + data
        whole, newline, self._begun = block.rpartition(b"\n")
        if len(self._begun) > LINE_BYTES or not data:
            whole, newline, self._begun = block, block, b""
        if newline:
            self._pass_on(whole)
        return len(data) or None

    def close(self) -> None:
        """Pass on what is left and close the pipe."""
        for _ in range(16):  # not for ever: a child of the worker may still write
            if not self.pump():
                break
        os.close(self.fd)
        self._say()

    def tell(self, now: float) -> bool:
        """Say how much was dropped, when a flood is over or goes on for long; whether it did."""
        self._refill()
        if self._allowed < RATE / 2 and now - self._since < _SAY_AGAIN:
            return False
        self._say()
        return True

    def _say(self) -> None:
        if self.dropped:
            log.warning(
                "%s: VAN045: %d bytes that its worker wrote were dropped: more than %d in a second;"
                " find what writes so much to stderr or stdout",
                self._host,
                self.dropped,
                RATE,
            )
        self.dropped = 0

    def _refill(self) -> None:
        now = time.monotonic()
        self._allowed = min(RATE, self._allowed + (now - self._at) * RATE)
        self._at = now

    def _drop(self, data: bytes) -> None:
        self._since = self._since if self.dropped else time.monotonic()
        self.dropped += len(data)
        self.tail.extend(_texts(data[-LINE_BYTES:].split(b"\n")[-TAIL_LINES:]))

    def _pass_on(self, whole: bytes) -> None:
        """Write lines as long as it is allowed; drop the rest."""
        most = int(self._allowed) // len(self._mark) + 1  # no more than that are worth splitting
        lines = whole.split(b"\n", most)
        unsplit = lines[most:]
        del lines[most:]
        pieces = [piece for line in lines for piece in _pieces(line)]
        written: list[str] = []
        for at, text in enumerate(_texts(pieces)):
            if self._allowed <= 0:
                unsplit = [*pieces[at:], *unsplit]
                break
            written.append(f"{self._mark}{text}\n")
            self._allowed -= len(written[-1].encode("utf-8", "replace"))
            self.tail.append(text)
        if unsplit:
            self._drop(b"\n".join(unsplit))
        try:
            sys.stderr.write("".join(written))
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass  # there is no stderr (any more): nowhere to say so either


def _pieces(line: bytes) -> list[bytes]:
    """A line, in several where it is long; an empty one is a line too."""
    return [line[at : at + LINE_BYTES] for at in range(0, len(line) or 1, LINE_BYTES)]


def _texts(lines: list[bytes]) -> list[str]:
    return [escape(line.decode("utf-8", "backslashreplace").rstrip("\r")) for line in lines]
