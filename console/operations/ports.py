"""What an operation may need from whoever runs it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far an operation has come."""

    done: int
    total: int
    note: str = ""
    """What is being done, in a word or a sentence; of a sync the subject that `done` organizations have."""
    seconds_left: float | None = None
    """Until all of it is done, not only what `note` names."""


Report = Callable[[Progress], object]
"""Told about every step."""

Ask = Callable[[str], Awaitable[bool]]
"""Puts a question to the operator, and waits for the answer."""
