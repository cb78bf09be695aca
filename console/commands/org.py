"""`limegrove org`: the organizations, and how each of them is."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands import (
    org_analytics,
    org_compare,
    org_document,
    org_offboard,
    org_onboard,
    org_overview,
    org_runs,
)
from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.queries.organizations import OrganizationDetail, OrganizationRow
    from store.queries.totals import Completeness


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `org`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("list", help="all organizations, or those below --scope")
    show = verbs.add_parser("show", help="one organization, whole")
    show.add_argument("organization", metavar="OID|NAME", help="its oid, the beginning of it, or its name")
    org_onboard.configure(verbs)
    org_runs.configure(verbs)
    org_offboard.configure(verbs)
    org_document.configure(verbs)
    org_compare.configure(verbs)
    org_analytics.configure(verbs)
    org_overview.configure(verbs)


def run(session: Session) -> int:
    """Do what the verb says."""
    match session.arguments.verb:
        case "list":
            return _list(session)
        case "create" | "onboard":
            return org_onboard.onboard(session)
        case "install":
            return org_onboard.install(session)
        case "smoke":
            return org_onboard.smoke(session)
        case "offboard":
            return org_offboard.offboard(session)
        case "forget":
            return org_offboard.forget(session)
        case "overview":
            return org_overview.overview(session)
        case "analytics":
            return org_analytics.analytics(session)
        case "compare":
            return org_compare.compare(session)
        case "document":
            return org_document.run(session)
        case "bulk" | "runs" | "resume" | "undo":
            return org_runs.run(session)
    return _show(session)


def _list(session: Session) -> int:
    from store.queries.organizations import completeness, organizations
    from store.times import now_ms

    scope, now = session.scope(), now_ms()
    with session.reader.reading() as connection:
        rows = organizations(connection, scope=scope, now=now)
        whole = completeness(connection, scope=scope, now=now)
    session.show_rows(
        [listed(row) for row in rows],
        columns=("path", "sensors", "open_alerts", "synced_at", "state", "reason"),
        footer=n_of_m(whole),
    )
    return 0


def _show(session: Session) -> int:
    from store.customers import missing_of
    from store.queries.organizations import organization
    from store.times import now_ms

    oid = session.organization(session.arguments.organization)
    with session.reader.reading() as connection:
        detail = organization(connection, oid, now=now_ms())
        missing = list(missing_of(connection, [oid])[oid])
    if detail is None:
        raise Problem(f"The organization {oid} was taken out of the store a moment ago.")
    session.show_object(
        shown_whole(detail) | {"documentation": {"complete": not missing, "missing": missing}}
    )
    return 0


def listed(row: "OrganizationRow") -> dict[str, Any]:
    """One organization as `org list` prints it; times are RFC 3339 in UTC, what was never read is null."""
    from store.times import rfc3339

    return {
        "oid": row.oid,
        "name": row.name,
        "path": row.path,
        "region": row.region,
        "sensors": row.sensors,
        "sensors_online": row.sensors_online,
        "open_alerts": row.open_alerts,
        "synced_at": rfc3339(row.synced_at),
        "state": row.state,
        "reason": row.reason,
        "errors": row.errors,
        "sensor_quota": row.sensor_quota,
        "quota_used": row.quota_used,
        "gone": row.gone,
    }


def shown_whole(detail: "OrganizationDetail") -> dict[str, Any]:
    """One organization as `org show` prints it: what `org list` has, and the rest."""
    from store.alerts import SEVERITIES
    from store.times import rfc3339

    return listed(detail.row) | {
        "alerts": {
            word: None if detail.row.open_alerts is None else count
            for word, count in zip(reversed(SEVERITIES), reversed(detail.row.by_severity), strict=True)
        },
        "labels": detail.labels,
        "marks": list(detail.marks),
        "parameters": detail.parameters,
        "platforms": [
            {"platform": platform, "sensors": sensors, "alive_within_a_day": alive}
            for platform, sensors, alive in detail.platforms
        ],
        "standing_errors": [
            {"component": component, "error": error, "time": rfc3339(time)}
            for component, error, time in detail.errors
        ],
        "top_rules": [{"cat": cat, "open_alerts": alerts} for cat, alerts in detail.top_rules],
        "detections_per_day": list(detail.days),
        "users": detail.users,
        "keys": detail.keys,
        "groups": detail.groups,
        "configuration": None if detail.records is None else dict(detail.records),
        "subjects": [
            {"subject": subject, "checked_at": rfc3339(checked_at), "failure": failure, "reason": reason}
            for subject, checked_at, failure, reason in detail.subjects
        ],
    }


def n_of_m(whole: "Completeness") -> str:
    """What a total rests on, such as `214 of 216 organizations; without Acme (failed), Bolt (never)`."""
    text = f"{whole.fresh} of {whole.organizations} organizations"
    if not whole.missing:
        return text
    named = ", ".join(f"{name} ({state})" for _, name, state, _ in whole.missing[:5])
    more = f", and {len(whole.missing) - 5} more" if len(whole.missing) > 5 else ""
    return f"{text} are fresh; not {named}{more}"
