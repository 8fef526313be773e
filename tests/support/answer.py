"""The answer to a request, however it was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was received to its end; the names of headers are as they came."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> str:
        return self.content.decode(errors="backslashreplace")

    @property
    def json(self) -> Any:
        return json.loads(self.content)
