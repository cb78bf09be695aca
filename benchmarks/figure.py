"""One measured figure beside what it is measured against."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """Medians of both sides, run in turn."""

    name: str
    figure: str
    ours: float
    other: float
    goal: float
    unit: str
    absolute: bool = False
    """Whether the goal is for `ours` rather than for the ratio."""

    @property
    def ratio(self) -> float:
        """ours / other."""
        return self.ours / self.other

    @property
    def ok(self) -> bool:
        """Whether the goal is met."""
        return (self.ours if self.absolute else self.ratio) <= self.goal

    def as_dict(self) -> dict[str, Any]:
        """The JSON line."""
        return {
            "name": self.name,
            "figure": self.figure,
            "ours": round(self.ours, 2),
            "other": round(self.other, 2),
            "ratio": round(self.ratio, 3),
            "goal": self.goal,
            "unit": self.unit,
            "ok": self.ok,
        }

    def line(self) -> str:
        """For people."""
        goal = f"{self.goal:g} {self.unit}" if self.absolute else f"{self.goal:g} times"
        return (
            f"{'ok  ' if self.ok else 'MISS'} {self.name:6} {self.figure:44} ours {self.ours:10.1f} {self.unit:3}"
            f" other {self.other:10.1f} {self.unit:3} ratio {self.ratio:6.2f}  goal {goal}"
        )


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return float(statistics.median(values))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)])
