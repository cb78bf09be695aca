"""What an operation may need from whoever runs it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud


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


class Link:
    """The cloud that this console is connected to, as long as it is."""

    def __init__(self) -> None:
        self.cloud: Cloud | None = None

    @contextmanager
    def holding(self, cloud: "Cloud") -> Iterator[None]:
        """Offer a connected cloud to whoever asks."""
        self.cloud = cloud
        try:
            yield
        finally:
            self.cloud = None
