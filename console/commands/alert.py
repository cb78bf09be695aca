"""`limegrove alert`: the queue over all organizations."""

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.commands import alert_folds, alert_fp, alert_pivot, alert_queue, alert_triage
from console.commands.listing import gathered
from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from store.alerts import AlertFilter
    from store.queries.alerts import AlertDetail, AlertRow

DEEPEST = 100
"""How deep a detection may be nested before it is only shown as the text that came."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `alert`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    queue = verbs.add_parser("list", help="open alerts, worst and newest first")
    _filters(queue)
    queue.add_argument("--queue", metavar="NAME", help="of a saved queue; what comes later is new in it")
    queue.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; 0 for all (100)")
    show = verbs.add_parser("show", help="one alert, with the detection as LimaCharlie sent it")
    show.add_argument("detect_id", metavar="DETECT_ID")
    show.add_argument(
        "--org", dest="organization", metavar="OID|NAME", help="where two organizations share the id"
    )
    alert_folds.configure(verbs, _filters)
    alert_triage.configure(verbs, _filters)
    alert_fp.configure(verbs)
    alert_queue.configure(verbs)
    alert_pivot.configure(verbs, _filters)


def _filters(parser: argparse.ArgumentParser) -> None:
    """The options that `wanted_by` reads."""
    parser.add_argument(
        "--filter",
        metavar="LINE",
        default="",
        help="as after / on screen: `sev:high host:web since:2h who:me order:due encoded`",
    )
    parser.add_argument(
        "--status",
        metavar="STATUS",
        help="new, in_progress, resolved, closed, open or any, or several with commas (open)",
    )
    parser.add_argument("--severity", metavar="SEVERITY", help="at least info, low, medium, high or critical")
    parser.add_argument("--org", dest="organization", metavar="OID|NAME", help="of one organization only")
    parser.add_argument("--since", metavar="DURATION", help="not older than this, such as 30m, 12h or 7d")


def run(session: Session) -> int:
    """List the queue, show one alert, or decide something."""
    if session.arguments.verb in alert_folds.VERBS:
        return alert_folds.run(session, wanted_by)
    if session.arguments.verb in alert_triage.VERBS:
        return alert_triage.run(session, wanted_by)
    if session.arguments.verb == "fp":
        return alert_fp.run(session)
    if session.arguments.verb == "queue":
        return alert_queue.run(session)
    if session.arguments.verb == "pivot":
        return alert_pivot.run(session, wanted_by)
    return _list(session) if session.arguments.verb == "list" else _show(session)


def _list(session: Session) -> int:
    from store.queries.alerts import count, page

    wanted = wanted_by(session)
    with session.reader.reading() as connection:
        rows = gathered(
            session.arguments.limit,
            lambda last, size: page(connection, wanted, after=last.key if last else None, limit=size),
        )
        total = count(connection, wanted) if session.output == "table" else None
    session.show_rows(
        [listed(row) for row in rows],
        columns=("severity", "time", "organization", "cat", "hostname", "status", "detect_id"),
        footer="" if total is None else f"{len(rows)} of {total.value}{'' if total.exact else '+'} alerts",
    )
    return 0


def wanted_by(session: Session) -> "AlertFilter":
    """What the options of `alert list` ask for; an option wins over the same word in `--filter`.

    Raises:
        Problem: one of them means nothing; exit code 2.
    """
    from store.alerts import OPEN, SEVERITIES, STATUSES, FilterError, parse_filter
    from store.times import now_ms

    given = session.arguments
    line, scope = given.filter, session.scope()
    if getattr(given, "queue", None) is not None:
        kept, within = alert_queue.line_of(session, given.queue)
        line, scope = f"{kept} {line}".strip(), scope or within
    try:
        wanted = parse_filter(line, scope=scope, me=session.operator)
    except FilterError as error:
        raise Problem(f"--filter: {error}", code=2) from error
    if given.status is not None:
        named = {word: (at,) for at, word in enumerate(STATUSES)} | {
            "open": OPEN,
            "any": tuple(range(len(STATUSES))),
        }
        statuses: set[int] = set()
        for word in given.status.split(","):
            if word.strip() not in named:
                raise Problem(f"--status cannot be {shown(word)}; it takes {', '.join(named)}.", code=2)
            statuses.update(named[word.strip()])
        wanted = replace(wanted, statuses=tuple(sorted(statuses)))
    if given.severity is not None:
        if given.severity not in SEVERITIES:
            raise Problem(
                f"--severity cannot be {shown(given.severity)}; it takes {', '.join(SEVERITIES)}.", code=2
            )
        wanted = replace(wanted, severity=SEVERITIES.index(given.severity))
    if given.organization is not None:
        wanted = replace(wanted, oid=session.organization(given.organization))
    if given.since is not None:
        from store.times import parse_duration

        try:
            wanted = replace(wanted, since=now_ms() - parse_duration(given.since) * 1000)
        except ValueError as error:
            raise Problem(f"--since {shown(given.since)}: {error}", code=2) from error
    return wanted


def listed(row: "AlertRow") -> dict[str, Any]:
    """One alert as `alert list` prints it: severity and status as words, times RFC 3339 in UTC."""
    from store.alerts import FOREVER, SEVERITIES, STATUSES, WOKEN
    from store.times import rfc3339

    return {
        "detect_id": row.detect_id,
        "oid": row.oid,
        "organization": row.organization,
        "cat": row.cat,
        "severity": SEVERITIES[row.severity],
        "hostname": row.hostname,
        "status": STATUSES[row.status],
        "time": rfc3339(row.time),
        "rule": row.rule,
        "assignee": row.assignee,
        "due": rfc3339(row.due_at),
        "tags": row.tags.split(),
        "snoozed_until": "event" if row.snoozed_until == FOREVER else rfc3339(row.snoozed_until),
        "woken": row.rank == WOKEN,
        "fold": row.fold_id or None,
        "damaged": row.damaged,
    }


def _show(session: Session) -> int:
    found = one_alert(session, session.arguments.detect_id)
    session.show_object(shown_whole(found) | alert_triage.decided(session, found.row))
    return 0


def one_alert(session: Session, detect_id: str) -> "AlertDetail":
    """The alert of this LimaCharlie id, with `--org` where two have it.

    Raises:
        Problem: there is none, or more than one; exit code 2.
    """
    from store.queries.alerts import by_detect_id

    given = session.arguments.organization
    oid = session.organization(given) if given else None
    with session.reader.reading() as connection:
        found = [each for each in by_detect_id(connection, detect_id) if oid in (None, each.row.oid)]
    if not found:
        raise Problem(
            f"There is no alert {shown(detect_id)} in the store; `limegrove alert list` names them.", code=2
        )
    if len(found) > 1:
        named = ", ".join(each.row.oid for each in found)
        raise Problem(
            f"{len(found)} organizations have an alert {shown(detect_id)}: {named}. Give --org.",
            code=2,
        )
    return found[0]


def shown_whole(alert: "AlertDetail") -> dict[str, Any]:
    """One alert as `alert show` prints it: what `alert list` has, and the detection as received.

    `detection` is the record; of one that is damaged or nested beyond reason it is None, and `raw` is the
    text that came, with bytes that are not UTF-8 as `\\xNN`.
    """
    from store.alerts import CLASSIFICATIONS

    whole = listed(alert.row) | {
        "path": alert.path,
        "sid": alert.row.sid,
        "event_type": alert.event_type,
        "priority": alert.priority,
        "classification": CLASSIFICATIONS[alert.row.classification],
    }
    try:
        # Not orjson: it turns integers of more than 64 bits into floats.
        detection = json.loads(alert.body)
    except (ValueError, RecursionError):
        detection = None
    if detection is None or _deeper(detection, DEEPEST):
        return whole | {"detection": None, "raw": alert.body.decode("utf-8", "backslashreplace")}
    return whole | {"detection": detection}


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and mappings are nested more than `depth` deep; told without recursion."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
