"""The verbs of `limegrove alert` about what is shown as one row."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from console.commands.listing import gathered
from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from store.alerts import AlertFilter
    from store.queries.folds import FoldRow, Score

VERBS = ("folds", "fold-key", "scorecard")


def configure(verbs: Any, filters: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add these verbs.

    Args:
        verbs: what argparse gave for the verbs of `alert`.
        filters: adds the options by which `alert list` is limited.
    """
    rows = verbs.add_parser("folds", help="the queue folded: one row for alerts that are the same")
    filters(rows)
    rows.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; 0 for all (100)")
    key = verbs.add_parser(
        "fold-key",
        help="show or change which fields make alerts of a rule the same",
        description="Without --fields and --default it shows the keys in force. A change is carried through "
        "all stored alerts; interrupted, it goes on when it is given again, or a console starts.",
    )
    key.add_argument(
        "rule", metavar="RULE", nargs="?", help="source_rule, else the category; all others without it"
    )
    change = key.add_mutually_exclusive_group()
    change.add_argument("--fields", metavar="A,B", help="fields, with commas; `none` for the rule alone")
    change.add_argument("--default", action="store_true", help="take the key away again")
    change.add_argument("--recount", action="store_true", help="count all folds again from their alerts")
    card = verbs.add_parser("scorecard", help="rules: true and false positives, time spent, what to tune")
    card.add_argument("--since", metavar="DURATION", help="only what came or was decided within it, as 30d")
    card.add_argument("--by-rule", action="store_true", help="a rule over all organizations of the scope")
    card.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (100)")


def run(session: Session, wanted_by: "Callable[[Session], AlertFilter]") -> int:
    """Carry one of them out."""
    verb = session.arguments.verb
    if verb == "folds":
        return _folds(session, wanted_by(session))
    return _fold_key(session) if verb == "fold-key" else _scorecard(session)


def refuse_unknown(session: Session, *, fold: int | None = None, storm: int | None = None) -> None:
    """Call before all of a fold or of a storm is decided: of one that is not there nothing would be.

    Raises:
        Problem: there is no such fold, or no such storm; exit code 2.
    """
    from store.queries.folds import has_storm, storm_of

    with session.reader.reading() as connection:
        if fold is not None and not storm_of(connection, fold):
            raise Problem(
                f"--fold: there is no fold {fold}; `alert list` and `alert show` name them.", code=2
            )
        if storm is not None and not has_storm(connection, storm):
            raise Problem(f"--storm: there is no storm {storm}; `alert folds` names them.", code=2)


def _folds(session: Session, wanted: "AlertFilter") -> int:
    from store.queries.folds import count, page
    from store.times import now_ms

    if wanted.order == "due":
        raise Problem("--filter: order:due is for single alerts; `alert list` takes it.", code=2)
    now = now_ms()
    with session.reader.reading() as connection:
        rows = gathered(
            session.arguments.limit,
            lambda last, size: page(
                connection, wanted, now=now, after=last.key if last else None, limit=size
            ),
        )
        total = count(connection, wanted) if session.output == "table" else None
    session.show_rows(
        [listed(row) for row in rows],
        columns=(
            "severity",
            "open",
            "organizations",
            "cat",
            "shares",
            "per_hour",
            "last_seen",
            "who",
            "storm",
        ),
        footer="" if total is None else f"{len(rows)} of {total.rows} rows, {total.alerts} alerts",
    )
    return 0


def listed(row: "FoldRow") -> dict[str, Any]:
    """One row as `alert folds` prints it: words for numbers, times RFC 3339 in UTC."""
    from store.alerts import CLASSIFICATIONS, SEVERITIES, WOKEN
    from store.times import rfc3339

    return {
        "kind": row.kind,
        "storm": row.storm,
        "fold": row.fold or None,
        "oid": row.oid or None,
        "organization": row.organization or None,
        "organizations": row.organizations,
        "cat": row.cat,
        "rule": row.rule,
        "salient": {name: value for name, value in row.salient},
        "shares": " ".join(value for _, value in row.salient),
        "severity": SEVERITIES[row.severity],
        "woken": row.rank == WOKEN,
        "open": row.still_open,
        "total": row.total,
        "first_seen": rfc3339(row.first_seen),
        "last_seen": rfc3339(row.last_seen),
        "per_hour": round(row.per_hour, 2),
        "due": rfc3339(row.due_at),
        "assignees": list(row.assignees),
        "who": row.who,
        "verdict": CLASSIFICATIONS[row.verdict] if row.verdict else None,
        "verdict_at": rfc3339(row.verdict_at),
        "verdict_by": row.verdict_by or None,
        "detect_id": None if row.alert is None else row.alert.detect_id,
    }


def _fold_key(session: Session) -> int:
    from console.operations import folding
    from store import folds
    from store.times import now_ms

    given = session.arguments
    rule: str = folds.ALL if given.rule is None else given.rule
    if given.fields is None and not given.default and not given.recount:
        return _keys(session, given.rule)
    session.refuse_read_only("alert fold-key")

    def report(step: Any) -> None:
        session.progress(f"{step.done} of {step.total} {step.note}")

    if given.recount:
        if given.rule is not None:
            raise Problem("--recount is for all rules; leave the rule out.", code=2)
        folding.recount(session.store(), now=now_ms(), report=report)
        return _keys(session, None)
    fields = None if given.default else _fields(given.fields)

    folding.set_key(session.store(), rule, fields, by=session.operator, now=now_ms(), report=report)
    return _keys(session, given.rule)


def _fields(line: str) -> list[str]:
    from store.folds import FIELDS

    if line.strip() == "none":
        return []
    named = [word.strip() for word in line.split(",") if word.strip()]
    if not named:
        raise Problem(f"--fields: {shown(line)} names no field; `none` is the rule alone.", code=2)
    for word in named:
        if word not in FIELDS:
            raise Problem(f"--fields: {shown(word)} is no field; use {', '.join(FIELDS)}.", code=2)
    return named


def _keys(session: Session, rule: str | None) -> int:
    from store import folds

    with session.reader.reading() as connection:
        known = folds.keys(connection)
        left = folds.rebuilding(connection)
    rules = sorted({folds.ALL, *known}) if rule is None else [rule]
    rows = [
        {
            "rule": each,
            "fields": list(folds.fields_for(known, each)),
            "own": each in known,
            "pending": bool({each, folds.ALL} & set(left.rules)),
        }
        for each in rules
    ]
    session.show_rows(
        rows,
        columns=("rule", "fields", "own", "pending"),
        footer="" if not left.rules else f"{left.done} of {left.total} alerts are folded anew.",
    )
    return 0


def _scorecard(session: Session) -> int:
    from store.queries.folds import scorecard
    from store.times import now_ms, parse_duration

    given = session.arguments
    if given.limit < 1:
        raise Problem("--limit takes a number from 1 on.", code=2)
    now, since = now_ms(), None
    if given.since is not None:
        try:
            since = now - parse_duration(given.since) * 1000
        except ValueError as error:
            raise Problem(f"--since {shown(given.since)}: {error}", code=2) from error
    with session.reader.reading() as connection:
        rows = scorecard(
            connection, session.scope(), since, now=now, by_organization=not given.by_rule, limit=given.limit
        )
    session.show_rows(
        [scored(row) for row in rows],
        columns=(
            "rule", "organization", "alerts", "open", "true_positives", "false_positives", "last_true",
            "minutes", "suggestion", "why",
        ),
    )  # fmt: skip
    return 0


def scored(row: "Score") -> dict[str, Any]:
    """One line of `alert scorecard`."""
    from store.times import rfc3339

    return {
        "rule": row.rule,
        "cat": row.cat,
        "oid": row.oid or None,
        "organization": row.organization or None,
        "organizations": row.organizations,
        "alerts": row.alerts,
        "open": row.open,
        "true_positives": row.true_positives,
        "false_positives": row.false_positives,
        "last_true": rfc3339(row.last_true_at),
        "minutes": round(row.spent / 60_000, 1),
        "first_seen": rfc3339(row.first_seen),
        "last_seen": rfc3339(row.last_seen),
        "suggestion": row.suggestion,
        "why": row.why,
    }
