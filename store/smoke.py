"""The smoke test: what it looks at, from the sensor to the case, as steps of a run."""

from collections.abc import Sequence
from typing import Final

from store.runs import Planned, PlannedItem, PlannedStep

SMOKE: Final = ("sensor", "event", "detection", "case", "output")
"""What a smoke test looks at, in its order."""
READING: Final = ("sensor", "event", "output")
"""What of it changes nothing in the organization."""
ANSWERS: Final = {"done": "yes", "already": "yes", "failed": "no"}
"""What a step of it came to, as an answer; anything else cannot be known."""
WAIT: Final = 120
"""Seconds that a test waits for its detection."""


def smoke_steps(*, wait: int = WAIT, reading: bool = False) -> tuple[PlannedStep, ...]:
    """The steps of a smoke test.

    Args:
        wait: seconds that it waits for its detection.
        reading: only what changes nothing.
    """
    return tuple(
        PlannedStep(f"smoke.{what}", "", {"wait": wait} if what == "detection" else {}, needed=False)
        for what in (READING if reading else SMOKE)
    )


def smoke_run(
    organizations: Sequence[tuple[str, str]], *, wait: int = WAIT, reading: bool = False
) -> Planned:
    """A smoke test of organizations that are there.

    Args:
        organizations: (oid, name).
        wait, reading: as of `smoke_steps`.
    """
    title = f"smoke test of {organizations[0][1]}" if len(organizations) == 1 else "smoke test"
    steps = smoke_steps(wait=wait, reading=reading)
    return Planned("bulk", title, tuple(PlannedItem(oid, name, steps=steps) for oid, name in organizations))
