"""The figures of a month for fifty customers, out of a million alerts, against the same aggregates by hand in SQL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import fixture
from benchmarks.figure import Figure, median
from store.database import Reader
from store.reports.customer import CustomerFigures, customer
from store.reports.periods import DAY, Period
from store.sla import DEFAULT

CUSTOMERS = 50
GOAL = 3.0
EACH = 20.0
"""Milliseconds of the processor for one small customer."""


def figures(runs: int) -> Iterator[Figure]:
    """Those with the most alerts, and those in the middle; each side in turn, once before it counts."""
    held = fixture.held(fixture.alerts())
    today = datetime.fromtimestamp(held.now / 1000, UTC).date()
    period = Period(today - timedelta(days=29), today)
    with (
        closing(Reader(held.url)) as reader,
        closing(sqlite3.connect(f"file:{held.path}?mode=ro", uri=True)) as plain,
    ):
        plain.execute("PRAGMA cache_size=-65536")
        plain.execute("PRAGMA mmap_size=268435456")
        order = [
            oid
            for (oid,) in plain.execute(
                "SELECT oid FROM detection_count GROUP BY oid ORDER BY SUM(count) DESC"
            )
        ]
        for name, oids, absolute in (
            ("with the most alerts", order[:CUSTOMERS], False),
            ("in the middle", order[len(order) // 2 :][:CUSTOMERS], True),
        ):
            ours, other = [], []
            for counted in [False, *[True] * max(1, min(runs, 5))]:
                began = time.process_time()
                with reader.reading() as connection:
                    found = [customer(connection, oid, period, now=held.now) for oid in oids]
                spent = time.process_time() - began
                began = time.process_time()
                by_hand = [hand(plain, oid, period, held.now) for oid in oids]
                if counted:
                    ours.append(1000 * spent)
                    other.append(1000 * (time.process_time() - began))
            for one, answer in zip(found, by_hand, strict=True):
                agree(one, answer)
            alerts = sum(int(one.alerts.total.value or 0) for one in found if one)
            if absolute:
                # Half of all customers have a handful of alerts: what a report costs then is putting questions.
                yield Figure(
                    "reports", f"one customer {name} / SQL", median(ours) / CUSTOMERS, median(other) / CUSTOMERS,
                    EACH, "ms", absolute=True,
                )  # fmt: skip
            else:
                yield Figure(
                    "reports", f"{CUSTOMERS} customers {name}, {alerts:,} alerts / SQL", median(ours), median(other),
                    GOAL, "ms",
                )  # fmt: skip


def hand(c: sqlite3.Connection, oid: str, period: Period, now: int) -> dict[str, Any]:
    """Every aggregate of a customer's report, each as one statement that an engineer would write."""
    window = (oid, period.since, period.until)
    where = "oid = ? AND time >= ? AND time < ?"
    true = "SUM(classification = 1 AND ' ' || tags || ' ' NOT LIKE '% benign %')"
    answer: dict[str, Any] = {
        "states": c.execute(
            "SELECT severity, status, classification, ' ' || tags || ' ' LIKE '% benign %', due_at <= ?, COUNT(*) "
            f"FROM detection WHERE {where} GROUP BY 1, 2, 3, 4, 5",
            (now, *window),
        ).fetchall(),
        "days": c.execute(
            f"SELECT (time - ?) / {DAY}, severity, COUNT(*) FROM detection WHERE {where} GROUP BY 1, 2",
            (period.since, *window),
        ).fetchall(),
        "before": c.execute(
            f"SELECT COUNT(*) FROM detection WHERE {where}", (oid, period.before.since, period.before.until)
        ).fetchone()[0],
    }
    for name, column in (("rules", "cat"), ("hosts", "hostname")):
        answer[name] = c.execute(
            f"SELECT {column}, COUNT(*), {true}, SUM(classification = 2) FROM detection WHERE {where} "
            f"AND ({column} <> '' OR '{column}' = 'cat') GROUP BY 1 ORDER BY 2 DESC, 1",
            window,
        ).fetchall()
    for name, column, targets in (
        ("acknowledged", "acknowledged_at", DEFAULT.acknowledge),
        ("resolved", "resolved_at", DEFAULT.resolve),
    ):
        limit = " ".join(f"WHEN {severity} THEN {span}" for severity, span in enumerate(targets))
        answer[name] = c.execute(
            f"WITH took AS (SELECT severity, {column} - time AS took FROM detection WHERE {where} AND {column} IS NOT "
            "NULL), placed AS (SELECT severity, took, ROW_NUMBER() OVER (PARTITION BY severity ORDER BY took) AS place, "
            "COUNT(*) OVER (PARTITION BY severity) AS total FROM took) SELECT severity, COUNT(*), MIN(CASE WHEN place * "
            "100 >= total * 50 THEN took END), MIN(CASE WHEN place * 100 >= total * 90 THEN took END), "
            f"SUM(took <= CASE severity {limit} END) FROM placed GROUP BY severity",
            window,
        ).fetchall()
    answer["cases"] = c.execute(
        "SELECT case_number, severity, status, classification, created_at, acknowledged_at, resolved_at, summary FROM "
        "case_record WHERE oid = ? AND created_at >= ? AND created_at < ? AND merged_into = ''",
        window,
    ).fetchall()
    answer["sensors"] = c.execute(
        "SELECT platform, COUNT(*), SUM(alive < ?) FROM sensor WHERE oid = ? GROUP BY platform", (now, oid)
    ).fetchall()
    answer["usage"] = c.execute(
        "SELECT metric, SUM(value) FROM usage WHERE oid = ? AND day BETWEEN ? AND ? GROUP BY metric",
        (oid, period.first.isoformat(), period.last.isoformat()),
    ).fetchall()
    answer["organization"] = c.execute(
        "SELECT name, sensor_quota, quota_used, sensors_online FROM organization WHERE oid = ?", (oid,)
    ).fetchone()
    answer["read"] = c.execute(
        "SELECT subject, checked_at, mark FROM sync_state WHERE oid = ?", (oid,)
    ).fetchall()
    return answer


def agree(ours: CustomerFigures | None, by_hand: dict[str, Any]) -> None:
    """Both sides counted the same."""
    assert ours is not None
    alerts = ours.alerts
    assert alerts.total.value == sum(row[-1] for row in by_hand["states"])
    assert sum(map(sum, alerts.days)) == sum(row[-1] for row in by_hand["days"])
    for found, rows in ((alerts.rules, by_hand["rules"]), (alerts.hosts, by_hand["hosts"])):
        assert [(each.name, each.total, each.true_positive, each.false_positive) for each in found] == rows[
            : len(found)
        ]
    for line in ours.response.lines:
        for times, rows in (
            (line.acknowledged, by_hand["acknowledged"]),
            (line.resolved, by_hand["resolved"]),
        ):
            (row,) = [row for row in rows if row[0] == line.severity] or [None]
            assert (None if times is None else (times.count, times.median, times.p90, times.within)) == (
                None if row is None else row[1:]
            )
