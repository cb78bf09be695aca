"""What the rules of a plan would have said in the last days, kept with it: over an outlier no wave begins.

How it is found out is `console.operations.backtest`. A plan that nobody ran over the past is not held up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update

from store import models
from store.access import counted
from store.bodies import storable
from store.rollouts import keeping
from store.text import safe_text

_PLAN: Table = models.RolloutPlan.__table__  # type: ignore[attr-defined]

RULES: Final = ("hive/dr-general", "hive/dr-managed")
"""Sections whose records replay can run."""
OPTION: Final = "backtest"
"""Where it is in a plan's options: it is no part of what an approval signs, and can only hold a wave up."""


@dataclass(frozen=True, slots=True)
class Found:
    """One rule of one organization that is odd, or could not be run."""

    oid: str
    name: str
    """The organization's."""
    rule: str
    """`dr-general/NAME`."""
    said: str
    per_day: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backtest of a plan came to."""

    at: int
    """Milliseconds, UTC."""
    days: int
    organizations: int
    outliers: tuple[Found, ...]
    failed: tuple[Found, ...]


def keep(c: Connection, plan_id: int, found: Kept) -> None:
    """Keep it with its plan, in place of an older one.

    Raises:
        PlanError: there is no such plan.
    """
    plan = keeping.load(c, plan_id)
    options = dict(plan.options) | {
        OPTION: {
            "at": found.at,
            "days": found.days,
            "organizations": found.organizations,
            "outliers": [_row(each) for each in found.outliers],
            "failed": [_row(each) for each in found.failed],
        }
    }
    c.execute(update(_PLAN).where(_PLAN.c.id == plan.id).values(options=options))


def of(options: Mapping[str, Any]) -> Kept | None:
    """The backtest in a plan's options; None when there was none."""
    held = options.get(OPTION)
    if not isinstance(held, Mapping):
        return None
    return Kept(
        held["at"], held["days"], held["organizations"],
        tuple(Found(**each) for each in held["outliers"]), tuple(Found(**each) for each in held["failed"]),
    )  # fmt: skip


def verdict(c: Connection, plan_id: int, steps: Sequence[keeping.Step]) -> tuple[str, str]:
    """Whether a wave may begin: `pass`, `fail` or `inconclusive`, and a sentence.

    Args:
        steps: of the wave.
    """
    options = c.execute(select(_PLAN.c.options).where(_PLAN.c.id == plan_id)).scalar_one()
    kept = of(options)
    if kept is None:
        return "pass", "not run over the past"
    touched = {
        (each.change.oid, f"{each.change.section[5:]}/{each.change.name}")
        for each in steps
        if each.change.section in RULES and each.change.after is not None
    }
    odd, blind = _among(kept.outliers, touched), _among(kept.failed, touched)
    if odd:
        first = odd[0]
        more = f", and {counted(len(odd) - 1, 'rule')} more" if len(odd) > 1 else ""
        return "fail", (
            f"{first.rule} would have made {first.per_day:.1f} alerts a day in {safe_text(first.name, 60)} "
            f"({first.said}){more}; leave it out there, change it, or run the backtest with other bounds"
        )
    if blind:
        return (
            "inconclusive",
            f"{counted(len(blind), 'rule')} could not be run over the past ({blind[0].said})",
        )
    return "pass", f"quiet over the last {counted(kept.days, 'day')}"


def _among(found: Sequence[Found], touched: Collection[tuple[str, str]]) -> list[Found]:
    return [each for each in found if (each.oid, each.rule) in touched]


def _row(each: Found) -> dict[str, Any]:
    return {
        "oid": each.oid,
        "name": storable(each.name),
        "rule": storable(each.rule),
        "said": storable(each.said),
        "per_day": each.per_day,
    }
