"""The last thirty days of an organization: alerts by day and severity, what makes them, how fast they go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from textual.content import Content

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, Context
from screens.organization_tabs.words import field
from screens.widgets.spark import spark
from screens.widgets.text import line
from store.alerts import SEVERITIES
from store.reports.customer import CustomerFigures, ResponseLine, customer
from store.reports.figures import Figure
from store.reports.periods import Period
from store.sla import Times
from store.times import age

TITLE = "Analytics"
READS = frozenset({"detection", "case_record", "sensor", "usage"})
DAYS = 30


@dataclass(frozen=True, slots=True)
class Found:
    """The figures, as the customer's report has them."""

    figures: CustomerFigures


def last_days(now: int, days: int = DAYS) -> Period:
    """So many days of UTC, today the last."""
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    return Period(today - timedelta(days=days - 1), today)


def read(connection: Connection, oid: str, now: int) -> Found | None:
    """The figures; None when the store does not know the organization."""
    found = customer(connection, oid, last_days(now), now=now)
    return None if found is None else Found(found)


def count(figure: Figure) -> str:
    """`1,402`, `1,402 or more` where what is counted is not whole, `unknown` where nothing was read: nor is
    nothing of a part a figure."""
    if figure.value is None or (figure.at_least and not figure.value):
        return "unknown"
    return f"{figure.value:,.0f}{' or more' if figure.at_least else ''}"


def took(times: Times | None) -> str:
    """`4m p50, 12m p90, 9 of 10 in time`."""
    if times is None:
        return "none yet"
    halves = f"{age(0, times.median)} p50, {age(0, times.p90)} p90"
    return f"{halves}, {times.within:,} of {times.count:,} in time"


def lines(found: Found, context: Context, wide: bool) -> list[Content]:
    """The plots first; then what makes the alerts, and the clocks."""
    of_ = found.figures
    alerts, now = of_.alerts, of_.now
    source = alerts.source
    made = [
        line(
            (f" {of_.name}", "bold"),
            f"   {DAYS} days to today (UTC)   read {age(source.read_at, now)} ago",
            ("   not whole", HEALTH_STYLES["partly"]) if source.state != "whole" else "",
        ),
        field("alerts", f"{count(alerts.total)}, {count(alerts.grave)} high or critical",
              f"   the {DAYS} days before {count(alerts.before)}"),
    ]  # fmt: skip
    for each in alerts.severities:
        if each.total:
            days = [day[each.severity] for day in alerts.days]
            made.append(
                field(
                    SEVERITIES[each.severity],
                    (spark(days), SEVERITY_STYLES[each.severity]),
                    f" {each.total:,}, {each.open:,} open, {each.true_positive:,} true, "
                    f"{each.false_positive:,} false",
                )
            )
    if alerts.rules:
        made.append(field("rules", ", ".join(f"{each.name} ({each.total:,})" for each in alerts.rules[:5])))
    if alerts.hosts:
        made.append(field("hosts", ", ".join(f"{each.name} ({each.total:,})" for each in alerts.hosts[:5])))
    for each_line in of_.response.lines:
        made += _clocks(each_line)
    if of_.cases is not None:
        made.append(
            field("cases", f"{count(of_.cases.opened)} opened, {count(of_.cases.ended)} ended, "
                  f"{count(of_.cases.open_now)} open")
        )  # fmt: skip
    sensors = of_.sensors
    made.append(
        field("sensors", f"{count(sensors.total)}, {count(sensors.online)} online, "
              f"{count(sensors.silent)} silent for a week, {count(sensors.enrolled)} new")
    )  # fmt: skip
    if of_.usage.metrics:
        made.append(
            field("usage", ", ".join(f"{name} {value:,.0f}" for name, value in of_.usage.metrics[:4]),
                  f"   of {of_.usage.days} of {DAYS} days")
        )  # fmt: skip
    return made


def _clocks(of_: ResponseLine) -> list[Content]:
    late = of_.late_acknowledge + of_.late_resolve
    word = SEVERITIES[of_.severity]
    return [
        field(
            f"{word[:4]} ack",
            f"{took(of_.acknowledged)} ({age(0, of_.acknowledge)})   resolve {took(of_.resolved)}"
            f" ({age(0, of_.resolve)})",
            (f"   {late:,} late", HEALTH_STYLES["failed"]) if late else "",
        )
    ]
