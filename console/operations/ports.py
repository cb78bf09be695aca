"""What an operation may need from whoever runs it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far an operation has come."""

    done: int
    total: int
    note: str = ""
    seconds_left: float | None = None


Report = Callable[[Progress], object]
"""Told about every step."""

Ask = Callable[[str], Awaitable[bool]]
"""Puts a question to the operator, and waits for the answer."""
