"""The types of PEP 3333."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Response = Iterable[bytes]
Application = Callable[[Environ, StartResponse], Response]
