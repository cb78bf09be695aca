"""Plans about access, applied: read, compared, written down, sent once, read back.

A plan is applied by one process at a time, and a store applies one plan at a time: a group's permissions are
replaced as a whole, so two plans for one group could overwrite each other. Everything is committed before it
is sent, so that whoever is killed in between leaves steps of which the next one sees whether they were made.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from console.operations.ports import Report
from store.accesschanges import AccessChange
from store.accessplans import Step

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store


class Refused(Exception):
    """Nothing was sent; the text is the sentence for the operator."""


class Stale(Refused):
    """The store says otherwise than when the plan was drafted."""


class Expired(Refused):
    """The plan is too old."""


class WrongName(Refused):
    """A protected organization was not typed by name."""


class NotAllowed(Refused):
    """The console is read-only, or the credential may not do anything of this."""


class Busy(Refused):
    """Another process applies a plan."""


@dataclass(frozen=True)
class Outcome:
    """What a plan came to."""

    plan_id: int
    state: str
    """Of `store.accessplans.STATES`; `applying` when it was cut off and goes on later."""
    counts: dict[str, int] = field(default_factory=dict)
    """Steps by outcome, of `store.accessplans.OUTCOMES`."""
    steps: tuple[Step, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """What is not as it was wanted, in words, and why."""
    trouble: str = ""
    """Why it was cut off."""
    sentence: str = ""
    """All of it in a line."""

    @property
    def whole(self) -> bool:
        """Whether everything is as it was wanted."""
        return self.state == "applied"


async def apply(
    plan_id: int,
    *,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    report: Report | None = None,
    now: int | None = None,
) -> Outcome:
    """Approve a plan and make its changes, or carry on with it where it was cut off.

    Args:
        confirm: what has to be typed for protected organizations: `Plan.phrase`.
        now: milliseconds, UTC; the clock when None.

    Raises:
        Refused: nothing was sent; its subclasses say why.
    """
    raise NotImplementedError


async def carry_out(
    changes: Iterable[AccessChange],
    *,
    title: str,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    source: str = "",
    report: Report | None = None,
    now: int | None = None,
) -> Outcome:
    """Draft a plan, approve it and apply it at once.

    Raises:
        Refused: nothing was sent; `apply` says which.
        PlanError: there is nothing to do (`NothingToDo`), or it cannot be planned.
    """
    raise NotImplementedError


async def resume(store: "Store", cloud: "Cloud", *, now: int | None = None) -> list[Outcome]:
    """Carry on with every plan that was cut off. Quick and silent when there is none."""
    raise NotImplementedError
