"""What a worker writes to stderr and stdout, as lines with the site's name for the router's."""

from __future__ import annotations

import os
import sys
from collections import deque

from mod_wsgi_van.lines import escape

LINE_BYTES = 8192
READ_BYTES = 65536
TAIL_LINES = 20


class Output:
    """Splits the bytes of one pipe into lines. Used by the supervisor's thread alone."""

    def __init__(self, fd: int, host: str) -> None:
        self.fd = fd
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._host = host
        self._begun = b""

    def pump(self) -> int | None:
        """Pass on what there is, one read of it; how many bytes, None at the end."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            return None
        lines = (self._begun + data).split(b"\n")
        self._begun = lines.pop() if data and len(lines[-1]) <= LINE_BYTES else b""
        self._write([piece for line in lines for piece in _pieces(line)])
        return len(data) or None

    def close(self) -> None:
        """Pass on what is left and close the pipe."""
        for _ in range(16):  # not for ever: a child of the worker may still write
            if not self.pump():
                break
        os.close(self.fd)

    def _write(self, lines: list[bytes]) -> None:
        texts = [line.decode("utf-8", "backslashreplace").rstrip("\r") for line in lines]
        texts = [escape(text) for text in texts]
        self.tail.extend(texts)
        try:
            sys.stderr.write("".join(f"[{self._host}] {text}\n" for text in texts))
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass  # there is no stderr (any more): nowhere to say so either


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + LINE_BYTES] for at in range(0, len(line), LINE_BYTES)]
