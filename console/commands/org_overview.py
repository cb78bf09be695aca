"""`limegrove org overview`: how a scope is, and who needs someone, as the first screen has it."""

from typing import TYPE_CHECKING, Any

from console.commands.session import Session

if TYPE_CHECKING:
    from store.queries.rollup import Need, Overview


def configure(verbs: Any) -> None:
    """Add `overview` to the verbs of `org`."""
    verbs.add_parser(
        "overview", help="the figures of all organizations, or those below --scope, and which need someone"
    )


def overview(session: Session) -> int:
    """Show the figures; what they lack is named."""
    from console.commands.org import n_of_m
    from store.queries.organizations import completeness
    from store.queries.rollup import Rollup
    from store.times import now_ms

    scope, now = session.scope(), now_ms()
    with session.reader.reading() as connection:
        found = Rollup().overview(connection, scope=scope, now=now)
        whole = completeness(connection, scope=scope, now=now)
    missing = [
        {"oid": oid, "name": name, "state": state, "reason": reason}
        for oid, name, state, reason in whole.missing
    ]
    needing = [_need(each) for each in found.attention]
    session.show_object(
        shown(found) | {"missing": missing, "attention": needing},
        rows=[each | {"why": "; ".join(each["why"])} for each in needing],
        columns=("name", "path", "late", "critical", "high", "why"),
    )
    if session.output == "table":
        more = found.needing - len(found.attention)
        session.say(n_of_m(whole) + (f"; {more:,} more need someone" if more else ""))
    return 0


def shown(found: "Overview") -> dict[str, Any]:
    """The figures as JSON has them; times are RFC 3339 in UTC."""
    from store.alerts import SEVERITIES
    from store.times import rfc3339

    return {
        "organizations": found.organizations,
        "fresh": found.fresh,
        "failed": found.failed,
        "stale": found.stale,
        "never_read": found.never,
        "alerts": dict(zip(reversed(SEVERITIES), reversed(found.by_severity), strict=True)),
        "oldest_of_the_worst": rfc3339(found.oldest_open),
        "late": found.late,
        "late_at_least": found.late_more,
        "due_within_the_hour": found.soon,
        "first_breach": rfc3339(found.first_due),
        "next_breach": rfc3339(found.next_due),
        "detections_per_hour": list(found.per_hour),
        "unclaimed": found.shift.unclaimed,
        "snoozed": found.shift.snoozed,
        "cases": found.cases,
        "sensors": found.sensors,
        "sensors_online": found.sensors_online,
        "sensors_silent_for_a_week": found.silent,
        "sensor_quota": found.quota,
        "quota_used": found.quota_used,
        "over_quota": found.over_quota,
        "standing_errors": found.errors,
        "keys": found.keys,
        "keys_stale": found.keys_stale,
        "needing_someone": found.needing,
    }


def _need(one: "Need") -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "oid": one.oid, "name": one.name, "path": one.path, "health": one.health,
        "late": one.late if one.alerts_known else None,
        "first_breach": rfc3339(one.first_due),
        "critical": one.by_severity[4] if one.alerts_known else None,
        "high": one.by_severity[3] if one.alerts_known else None,
        "open_alerts": one.open_alerts if one.alerts_known else None,
        "synced_at": rfc3339(one.synced_at), "why": list(one.why),
    }  # fmt: skip
