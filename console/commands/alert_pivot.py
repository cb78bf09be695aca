"""`limegrove alert pivot`: from a value to every alert that speaks of it, and where it was seen."""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.commands.listing import gathered
from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.alerts import AlertFilter
    from store.queries.pivot import Prevalence

KINDS = ("hash", "host", "address", "user", "domain", "path", "command", "url")
"""As `store.observables.KINDS`, which `--help` does not import; a test compares them."""


def configure(verbs: Any, filters: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the verb.

    Args:
        verbs: what argparse gave for the verbs of `alert`.
        filters: adds the options by which `alert list` is limited.
    """
    pivot = verbs.add_parser(
        "pivot",
        help="every alert, open or closed, that speaks of a value, and at how many organizations it was seen",
    )
    pivot.add_argument("value", metavar="VALUE", nargs="?", help="a hash, host, address, user, ...")
    pivot.add_argument("--kind", choices=KINDS, help="what VALUE is; unless said, whatever it may be")
    pivot.add_argument("--of", metavar="DETECT_ID", help="list the values of this alert instead")
    filters(pivot)
    pivot.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; 0 for all (100)")


def run(session: Session, wanted_by: Callable[[Session], "AlertFilter"]) -> int:
    """Look for a value, or list the values of an alert.

    Args:
        wanted_by: reads the options that `filters` added.
    """
    given = session.arguments
    if (given.value is None) == (given.of is None):
        raise Problem("`alert pivot` takes a VALUE, or --of DETECT_ID: one of them.", code=2)
    if given.of is not None and given.kind is not None:
        raise Problem("--kind goes with a VALUE; --of lists all kinds.", code=2)
    if given.limit < 0:
        raise Problem("--limit takes a number from 0 on.", code=2)
    return _values(session) if given.of is not None else _look(session, wanted_by)


def _look(session: Session, wanted_by: Callable[[Session], "AlertFilter"]) -> int:
    from console.commands.alert import listed
    from store.alerts import STATUSES, FilterError, pivots
    from store.queries.alerts import count, page

    given = session.arguments
    try:
        found = pivots(f"{given.kind}={given.value}" if given.kind else given.value)
    except FilterError as error:
        raise Problem(f"VALUE: {error}", code=2) from error
    wanted = replace(wanted_by(session), pivot=found)
    if given.status is None and not _says(given.filter, "status", "state"):
        wanted = replace(wanted, statuses=tuple(range(len(STATUSES))))
    if not _says(given.filter, "snoozed"):
        wanted = replace(wanted, snoozed="any")
    with session.reader.reading() as connection:
        rows = gathered(
            given.limit,
            lambda last, size: page(connection, wanted, after=last.key if last else None, limit=size),
        )
        total = count(connection, wanted)
        seen = [_seen(connection, kind, value, wanted.scope) for kind, value in found]
    alerts = [listed(row) for row in rows]
    if session.output in ("json", "yaml"):
        session.show_object(
            {
                "value": given.value, "seen": seen, "alerts": alerts, "matching": total.value,
                "matching_exact": total.exact,
            }
        )  # fmt: skip
        return 0
    words = [
        f"as {each['kind']} at {each['organizations']:,} of {each['of_organizations']:,} organizations"
        for each in [each for each in seen if each["alerts"]] or seen[:1]
    ]
    session.show_rows(
        alerts,
        columns=("severity", "time", "organization", "cat", "hostname", "status", "detect_id"),
        footer=f"{len(rows):,} of {total.value:,}{'' if total.exact else '+'} alerts; {'; '.join(words)}",
    )
    return 0


def _says(line: str, *prefixes: str) -> bool:
    return any(word.lower().startswith(f"{prefix}:") for word in line.split() for prefix in prefixes)


def _values(session: Session) -> int:
    from console.commands.alert import one_alert
    from store.observables import observables

    given = session.arguments
    try:
        record = json.loads(one_alert(session, given.of).body)
    except (ValueError, RecursionError):
        record = None
    values = observables(record) if isinstance(record, dict) else []
    values = values[: given.limit] if given.limit else values
    scope = session.scope()
    with session.reader.reading() as connection:
        rows = [_seen(connection, kind, value, scope) for kind, value in values]
    session.show_rows(
        rows,
        columns=("kind", "value", "organizations", "of_organizations", "alerts", "last_verdict"),
        footer=f"{len(rows)} values; `limegrove alert pivot VALUE --kind KIND` lists the alerts of one",
    )
    return 0


def _seen(connection: "Connection", kind: str, value: str, scope: str) -> dict[str, Any]:
    from store.queries.pivot import prevalence

    return {"kind": kind, "value": value} | _told(prevalence(connection, kind, value, scope=scope))


def _told(where: "Prevalence") -> dict[str, Any]:
    """Prevalence as it is printed: times RFC 3339 in UTC."""
    from store.alerts import CLASSIFICATIONS
    from store.times import rfc3339

    return {
        "organizations": where.k,
        "of_organizations": where.n,
        "alerts": where.alerts,
        "first": rfc3339(where.first),
        "last": rfc3339(where.last),
        "last_verdict": CLASSIFICATIONS[where.last_verdict] if where.last_verdict else None,
        "last_verdict_at": rfc3339(where.last_verdict_at),
        "last_verdict_by": where.last_verdict_by or None,
    }
