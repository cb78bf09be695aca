"""A small provider with a plan of changed configuration: kept, halfway, and with something that failed."""

from sqlalchemy import insert

from store import models
from store.database import Store
from store.rollouts import keeping, plans, work
from tests.helpers.drifting import KEY, drifted, observed
from tests.helpers.screens import NOW, oid_of

MINUTE = 60_000
CHECKS = {
    "read back": {"verdict": "pass", "said": "1 records are as wanted"},
    "errors": {"verdict": "pass", "said": "no new error"},
    "sensors": {"verdict": "inconclusive", "said": "nobody could count the sensors of 1 organization"},
    "detections": {"verdict": "pass", "said": "14 alerts, 12 to 19 were expected"},
}


def extension_gone(store: Store, number: int = 0, name: str = "ext-cases") -> None:
    """A customer is subscribed to an extension that a template brought, and none wants any more."""
    observed(store, number, {name: ({}, {})}, section="extension")
    table = models.TemplateOwned.__table__  # type: ignore[attr-defined]
    with store.writing() as connection:
        connection.execute(
            insert(table).values(
                oid=oid_of(number), section="extension", name=name, template="base", version=1, hash="",
                metadata=None, plan_id=0, at=NOW,
            )
        )  # fmt: skip


def planned(
    store: Store, *, title: str = "Scanner exclusions", waves: tuple[str, ...] = ("1", "rest")
) -> int:
    """A plan of everything that differs; two organizations get other changes than the third."""
    with store.writing() as connection:
        found = plans.drafted(connection, scope="", key=KEY)
        return keeping.keep(connection, found, title=title, by="dana", now=NOW - 8 * MINUTE, words=waves)


def differing(store: Store) -> int:
    """Five customers of which three differ, one by an extension that is to go; one is blocked."""
    drifted(store)
    extension_gone(store)
    return planned(store)


def running(store: Store, plan: int) -> None:
    """Let the first wave be done, and the second one be under way with a step that failed."""
    with store.writing() as connection:
        assert work.take(
            connection, plan, "here:1", operator="dana", now=NOW - 4 * MINUTE, is_live=lambda _: False
        )
        work.wave(connection, plan, 1, "running", now=NOW - 4 * MINUTE, gate={"baseline": {}})
        gate = {"baseline": {}, "verdict": "pass", "said": "as before", "checks": CHECKS}
        for step in keeping.steps(connection, plan, wave=1):
            work.settle(connection, plan, step.seq, "applied", now=NOW - 3 * MINUTE)
        work.wave(connection, plan, 1, "done", now=NOW - 3 * MINUTE, gate=gate)
        work.wave(connection, plan, 2, "running", now=NOW - 2 * MINUTE, gate={"baseline": {}})
        first = next(keeping.steps(connection, plan, wave=2))
        work.settle(
            connection, plan, first.seq, "conflict", now=NOW - MINUTE,
            error="It is not what the plan saw: somebody changed it since.",
        )  # fmt: skip


def halted(store: Store, plan: int) -> None:
    """Let it halt there."""
    with store.writing() as connection:
        said = "Wave rest was halted: 1 of 3 records failed."
        work.wave(connection, plan, 2, "failed", now=NOW)
        work.finish(connection, plan, "here:1", "halted", said, now=NOW)
