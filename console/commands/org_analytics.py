"""`limegrove org analytics`: the last days of one organization, or of all in a scope side by side."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.reports.customer import CustomerFigures
    from store.reports.periods import Period
    from store.reports.sensorcounts import SensorCounts
    from store.sla import Times

DAYS = 30
LONGEST = 366


def configure(verbs: Any) -> None:
    """Add `analytics` to the verbs of `org`."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "analytics",
        help="alerts by day and severity, top rules and hosts, how fast they were worked, sensors, usage",
    )
    parser.add_argument(
        "organization",
        metavar="OID|NAME",
        nargs="?",
        help="one organization; all of --scope side by side unless given",
    )
    parser.add_argument(
        "--days", metavar="N", type=int, default=DAYS, help=f"from 1 to {LONGEST}, today the last ({DAYS})"
    )


def analytics(session: Session) -> int:
    """Show the figures; they are those of the customer's report."""
    from store.times import now_ms

    if not 1 <= session.arguments.days <= LONGEST:
        raise Problem(f"--days takes a number from 1 to {LONGEST}.", 2)
    now = now_ms()
    period = _period(now, session.arguments.days)
    if session.arguments.organization is None:
        return _side_by_side(session, period, now)
    from store.reports.customer import customer

    oid = session.organization(session.arguments.organization)
    with session.reader.reading() as connection:
        found = customer(connection, oid, period, now=now)
    if found is None:
        raise Problem(f"The organization {oid} was taken out of the store a moment ago.")
    session.show_object(shown(found), rows=_rows(found), columns=("figure", "value", "by_day"))
    if session.output == "table":
        if found.alerts.source.state != "whole":
            session.say("The alerts of these days are not wholly known: numbers are at least so many.")
        session.say(_how_known(found.counts, now))
    return 0


def _period(now: int, days: int) -> "Period":
    from datetime import UTC, datetime, timedelta

    from store.reports.periods import Period

    today = datetime.fromtimestamp(now / 1000, UTC).date()
    return Period(today - timedelta(days=days - 1), today)


def _side_by_side(session: Session, period: "Period", now: int) -> int:
    from store.queries.scopes import oids_of
    from store.queries.sensordays import ends
    from store.reports.provider import provider

    scope = session.scope()
    with session.reader.reading() as connection:
        found = provider(connection, period, scope=scope, now=now)
        wanted = oids_of(connection, scope)
        counts = ends(connection, str(period.first), str(period.last), wanted=wanted)
    said = found.as_dict()
    for each in said["customers"]:
        for name, day in zip(("first", "last"), counts.get(each["oid"], (None, None)), strict=True):
            each[f"sensors_counted_{name}"] = None if day is None else day.sensors
            each[f"sensors_counted_{name}_day"] = None if day is None else day.day
    known = sum(each["sensors_counted_last"] is not None for each in said["customers"])
    said["sensors_counted"] = {"source": "quota", "organizations": known, "of": said["organizations"]}
    session.show_object(
        said,
        rows=said["customers"],
        columns=(
            "organization", "alerts", "high_and_critical", "true_positives", "open", "acknowledged_in_time",
            "acknowledged_or_late", "cases_opened", "sensors", "sensors_counted_first",
            "sensors_counted_last",
        ),
    )  # fmt: skip
    if session.output == "table":
        lacking = ", ".join(
            f"{each['organization']} ({each['completeness']})" for each in said["missing"][:5]
        )
        more = f", and {len(said['missing']) - 5} more" if len(said["missing"]) > 5 else ""
        session.say(
            f"{said['complete']} of {said['organizations']} organizations"
            + (f" are wholly known; not {lacking}{more}" if lacking else "")
        )
        session.say(
            f"Of {known} of {said['organizations']} it is known how many sensors counted against the quota, "
            "first and last."
        )
    return 0


def shown(found: "CustomerFigures") -> dict[str, Any]:
    """As JSON has it: the report's figures with what they rest on, and the days; times are seconds."""
    from store.alerts import SEVERITIES

    def times(one: "Times | None") -> dict[str, Any] | None:
        if one is None:
            return None
        return {
            "count": one.count, "p50_seconds": one.median // 1000, "p90_seconds": one.p90 // 1000,
            "within_target": one.within,
        }  # fmt: skip

    alerts = found.alerts
    return found.as_dict() | {
        "days": [
            {"day": str(day), "alerts": dict(zip(SEVERITIES, many, strict=True))}
            for day, many in zip(_days(found.period), alerts.days, strict=True)
        ],
        "severities": [
            {
                "severity": SEVERITIES[each.severity], "total": each.total, "open": each.open,
                "true_positive": each.true_positive, "benign": each.benign,
                "false_positive": each.false_positive, "undecided": each.undecided,
            }
            for each in alerts.severities
        ],
        "top_rules": [{"rule": each.name, "alerts": each.total} for each in alerts.rules],
        "top_hosts": [{"host": each.name, "alerts": each.total} for each in alerts.hosts],
        "response": [
            {
                "severity": SEVERITIES[each.severity], "acknowledged": times(each.acknowledged),
                "resolved": times(each.resolved), "late": each.late_acknowledge + each.late_resolve,
            }
            for each in found.response.lines
        ],
        "usage": dict(found.usage.metrics),
        "sensors_by_day": found.counts.as_dict(found.now),
    }  # fmt: skip


def _counted(counts: "SensorCounts") -> list[dict[str, Any]]:
    """Sensors by day as rows of a table: the last day that is known, and a character for each."""
    from screens.widgets.spark import spark

    last = counts.found.last
    rows = []
    for figure, name in (
        ("counted sensors", "sensors"), ("weighted sensors", "weighted"), ("sensor quota", "quota"),
    ):  # fmt: skip
        value = None if last is None else getattr(last, name)
        said = "unknown" if value is None else f"{value:,g}" if isinstance(value, float) else f"{value:,}"
        if name == "sensors" and last is not None:
            more = counts.found.change
            said += f" on {last.day}" + ("" if more is None else f" ({more:+,})" if more else " (as many)")
        # What is weighted is as high as it fills the quota of the last day.
        full = last.quota or 0 if last is not None and name == "weighted" else 0
        plot = spark([getattr(day, name) for day in counts.days], full=full)
        rows.append({"figure": figure, "value": said, "by_day": plot})
    return rows


def _how_known(counts: "SensorCounts", now: int) -> str:
    """What the counts of sensors by day rest on, in a sentence."""
    from store.times import age

    found = counts.found
    looked = "never" if found.looked_at is None else f"{age(found.looked_at, now)} ago"
    if not found.since:
        return "Sensors by day are unknown: the quota was never read."
    if not found.known:
        return f"Sensors by day are unknown (?): the quota is known since {found.since}, looked at {looked}."
    known, of = len(found.known), len(found.days)
    held = (
        f", {found.read} of them read for certain and the others as read before" if found.read < known else ""
    )
    return (
        f"Sensors by day are those that count against the quota: known since {found.since}, here of {known} "
        f"of {of} days{held}; looked at {looked}.{' A ? is a day that is not known.' if known < of else ''}"
    )


def _days(period: "Period") -> list[Any]:
    from datetime import timedelta

    return [period.first + timedelta(days=number) for number in range(period.days)]


def _rows(found: "CustomerFigures") -> list[dict[str, Any]]:
    """What a table shows, with a character a day."""
    from screens.widgets.spark import spark
    from store.alerts import SEVERITIES
    from store.times import age

    rows: list[dict[str, Any]] = []
    for each in found.alerts.severities:
        days = [day[each.severity] for day in found.alerts.days]
        rows.append(
            {"figure": f"{SEVERITIES[each.severity]} alerts", "value": each.total, "by_day": spark(days)}
        )
    rows += [{"figure": "rule", "value": f"{each.name} ({each.total})"} for each in found.alerts.rules]
    rows += [{"figure": "host", "value": f"{each.name} ({each.total})"} for each in found.alerts.hosts]
    for line in found.response.lines:
        for word, times in (("acknowledged", line.acknowledged), ("resolved", line.resolved)):
            said = "none"
            if times is not None:
                halves = f"p50 {age(0, times.median)}, p90 {age(0, times.p90)}"
                said = f"{halves}, {times.within} of {times.count} in time"
            rows.append({"figure": f"{SEVERITIES[line.severity]} {word}", "value": said})
    for name, figure in (("sensors", found.sensors.total), ("online", found.sensors.online)):
        rows.append({"figure": name, "value": "unknown" if figure.value is None else figure.value})
    rows += _counted(found.counts)
    rows += [{"figure": name, "value": value} for name, value in found.usage.metrics]
    return [{"figure": "", "value": "", "by_day": ""} | row for row in rows]
