"""Which alerts are the same: the fold keys, changed and carried through."""

from collections.abc import Sequence

from console.operations.actor import actor
from console.operations.ports import Progress, Report
from store import folds
from store.database import Store
from store.journal import append


def set_key(
    store: Store, rule: str, fields: Sequence[str] | None, *, by: str, now: int, report: Report
) -> bool:
    """Set the fold key of a rule, or of `store.folds.ALL`, and fold its alerts anew.

    Args:
        fields: of `store.folds.FIELDS`; None takes the rule's own key away.
        by: the operator's name.
        now: milliseconds, UTC.
        report: told after each part of the folding.

    Returns:
        Whether anything changed.
    """
    with store.writing() as connection:
        before, after = folds.set_key(connection, rule, fields, by=by, at=now)
        changed = before != after
        if changed:
            detail = {"before": before, "after": after}
            append(connection, actor(), "fold.key", "", rule, detail, now=now)
    go_on(store, report=report)
    return changed


def recount(store: Store, *, now: int, report: Report) -> None:
    """Count every fold and storm again from its alerts, and fold anew what is in no fold.

    Nothing needs it as long as limegrove alone writes the store; `store check` says whether something does.
    """
    with store.writing() as connection:
        folds.ask_again(connection)
        append(connection, actor(), "fold.recount", now=now)
    go_on(store, report=report)
    last = 0
    while True:
        with store.writing() as connection:
            store.touched("fold", "storm")
            counted = folds.recount_next(connection, last)
        if counted is None:
            return
        last = counted
        report(Progress(last, last, "folds"))


def _silent(_progress: Progress) -> None:
    """Say nothing."""


def go_on(store: Store, *, report: Report = _silent) -> None:
    """Do what is left of foldings that were asked for: also those that were interrupted."""
    while True:
        with store.reader.reading() as connection:
            if not folds.rebuilding(connection).rules:
                return
        with store.writing() as connection:
            store.touched("fold", "storm")
            left = folds.rebuild(connection)
        report(Progress(left.done, max(left.total, left.done), "alerts"))
