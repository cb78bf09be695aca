"""The last thirty days of an organization: alerts by day and severity, what makes them, how fast they go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from textual.content import Content

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, Context
from screens.organization_tabs.words import LABEL, field
from screens.widgets.plot import plot
from screens.widgets.spark import spark
from screens.widgets.text import line
from store.alerts import SEVERITIES
from store.quotas import percent_used
from store.reports.customer import CustomerFigures, ResponseLine, customer
from store.reports.figures import Figure
from store.reports.periods import Period
from store.reports.sensorcounts import SensorCounts
from store.sla import Times
from store.times import age

TITLE = "Analytics"
READS = frozenset({"detection", "case_record", "sensor", "usage", "quota_reading"})
DAYS = 30
ROWS = 5
"""Of the plot of sensors by day where there is room for one."""
HOW = {"read": "+", "held": ".", "unknown": "?"}
"""Signs of how a day of sensors is known."""


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
    made += _counted(of_.counts, now, wide)
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


def _counted(counts: SensorCounts, now: int, wide: bool) -> list[Content]:
    """What counted against the quota, plotted by day once more than one day is known."""
    found = counts.found
    first, last = found.first, found.last
    old = age(found.looked_at, now)
    looked = f"looked at {old} ago"
    if first is None or last is None:
        said = f"unknown these {DAYS} days, {looked}" if found.since else "unknown, its quota was never read"
        return [field("counted", said)]
    today = found.days[-1].day
    full = "unknown" if last.weighted is None else f"{last.weighted:,g}, and what the quota is was not told"
    if last.weighted is not None and last.quota is not None:
        percent = percent_used(last.weighted, last.quota)
        full = f"{last.weighted:,g} of quota {last.quota:,}{'' if percent is None else f', {percent} %'}"
    if found.change is None:
        when = "today" if last.day == today else f"on {last.day}"
        rest = "no plot yet" if last.day == today else f"{looked}, no other day is known"
        word = "first read" if last.day == found.since else "read"
        return [field("counted", f"{last.sensors:,} sensors, {word} {when}; {rest}"), field("weighted", full)]
    change = f"{found.change:+,}" if found.change else "as many"
    ended = "" if last.day == today else f" on {last.day[5:]}"
    said = f"{last.sensors:,}{ended}, {change} since {first.day[5:]}"
    sensors = [day.sensors for day in found.days]
    weighted = [day.weighted for day in found.days]
    if not wide:
        return [
            # Where it does not end today, that day is how old it is.
            field("counted", spark(sensors), f" {said}", "" if ended else f" ({old} old)"),
            field("weighted", spark(weighted, full=last.quota or 0), f" {full}"),
        ]
    quota = [day.quota for day in found.days]
    gap = " " * (len(found.days) - 10)
    return [
        field("counted", f"{said}, seen {old} ago"),
        field("weighted", full),
        *(
            line(f" {label:>{LABEL}}|{cells}")
            for label, cells in plot((("*", sensors), ("o", weighted), ("-", quota)), ROWS)
        ),
        line(f" {'':>{LABEL}}|", "".join(HOW[day.how] for day in found.days)),
        line(f" {'':>{LABEL}} {found.days[0].day[5:]}{gap}{today[5:]} UTC"),
        line((f" {'':>{LABEL}} * sensors  o weighted  - quota", "dim")),
        line((f" {'':>{LABEL}} + read  . held as read before  ? unknown", "dim")),
    ]


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
