"""How usage and quotas are said: on the screen of billing, and in the detail of an organization."""

from __future__ import annotations

from textual.content import Content

from screens.context import HEALTH_STYLES
from screens.widgets.spark import spark
from screens.widgets.text import line
from store.billing import number
from store.queries.billing import UsageRow, Used

KINDS = 6
"""Of sensors, that are named; the rest is counted."""


def full_in(row: UsageRow) -> str:
    """`full`, `12d`; `-` where nothing says when."""
    if row.days_left is None:
        return "-"
    return f"{row.days_left}d" if row.days_left else "full"


def number_of_hours(seconds: int) -> str:
    """`1 h 30 min`."""
    hours, rest = divmod(seconds, 3600)
    return f"{hours:,} h {rest // 60:02d} min" if hours else f"{rest // 60} min"


def usage_lines(row: UsageRow, told: Used, width: int = 78) -> list[Content]:
    """What is known of an organization's usage.

    Args:
        width: cells that a line may have; the newest days that fit are plotted.
    """
    lines = [
        line(
            (f" {row.name}", "bold"),
            f"   {told.first} to {told.last}, told of {row.told} of {row.expected} days",
        )
    ]
    if row.reason:
        lines.append(line((f" ~ {row.reason}", HEALTH_STYLES["partly"])))
    if row.used is not None and row.quota is not None:
        growth = "too little is known of its growth"
        if row.growth is not None:
            growth = f"grows by {row.growth:.2f} a day" if row.growth > 0 else "does not grow"
        when = {None: "", 0: "; it is full"}.get(row.days_left, f"; full in {row.days_left} days")
        lines.append(
            line(f" quota   {row.used:,g} of {row.quota:,} weighted sensors, {row.percent} %; {growth}{when}")
        )
    if row.breakdown:
        said = ", ".join(f"{kind} {count:,} x {weight:g}" for kind, count, weight in row.breakdown[:KINDS])
        more = f", and {len(row.breakdown) - KINDS:,} more" if len(row.breakdown) > KINDS else ""
        lines.append(line((f" weights {said}{more}", "dim")))
    if row.turned_away:
        lines.append(
            line(
                (f" away    {row.turned_away:,} times in 30 days a sensor was sent away: the quota was full",
                 "ansi_yellow")
            )
        )  # fmt: skip
    # Of days that were not told nobody knows what is missing.
    least = "at least " if row.told < row.expected else ""
    for metric, days in row.daily.items():
        total = row.metrics.get(metric)
        if total is None:
            continue
        said = f"{least}{number(total)}"
        plot = spark([float(value) for _, value in days][-max(7, width - 21 - max(15, len(said))) :])
        lines.append(line(f" {metric[:16]:<16} ", (f"{said:>15}", "bold"), f"  {plot}"))
    return lines
