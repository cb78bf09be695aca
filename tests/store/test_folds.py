"""Folds and storms: what is the same, and that every row counts exactly what it has."""

import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text, update

from store import folds, ingest, models
from store.bodies import unpack
from store.database import Store

NOW = 1_790_000_000_000
HOUR = folds.HOUR
D: Any = models.Detection.__table__  # type: ignore[attr-defined]
FOLD: Any = models.Fold.__table__  # type: ignore[attr-defined]
STORM: Any = models.Storm.__table__  # type: ignore[attr-defined]
SCANNER = "C:\\Program Files\\Inventory Scanner\\edr-inventory-scanner.exe"


def record(number: int = 0, *, event: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A detection as received: by default a scanner that opened LSASS."""
    return {
        "detect_id": f"d{number}",
        "cat": "Scanner touched LSASS",
        "source_rule": "general.scanner-touched-lsass",
        "gen_time": NOW + number * 1000,
        "routing": {"hostname": f"host{number}", "sid": "s", "event_type": "SENSITIVE_PROCESS_ACCESS"},
        "detect": {
            "event": event
            or {
                "SOURCE": {"FILE_PATH": SCANNER, "HASH": "a" * 64, "PROCESS_ID": number},
                "TARGET": {"FILE_PATH": "C:\\Windows\\System32\\lsass.exe"},
            }
        },
        "detect_mtd": {"level": "medium"},
        **fields,
    }


def put(c: Connection, oid: str, *records: dict[str, Any]) -> int:
    read = [ingest.detection_from(json.dumps(each).encode(), oid, received=NOW) for each in records]
    return ingest.put_detections(c, oid, read)


# Exactness


def tallies(c: Connection) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """What the rows of `fold` and `storm` have to be, counted here by other means than the store's own.

    By (organization, rule or category, salient values) and (rule or category, salient values).
    """
    known = folds.keys(c)
    bodies = models.DetectionBody.__table__  # type: ignore[attr-defined]
    rows = c.execute(
        select(D, bodies.c.body).join(bodies, bodies.c.detection_id == D.c.id).order_by(D.c.id)
    ).mappings()
    in_fold: dict[Any, list[Any]] = defaultdict(list)
    in_storm: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        named = row["rule"] or row["cat"]
        values = folds.values_in(unpack(row["body"]))
        salient = folds.salient_of(values, known.get(named, known.get("*", folds.DEFAULT)))
        storm = (named, json.dumps(salient))
        in_fold[(row["oid"], *storm)].append(row)
        in_storm[storm].append(row)
    deciders = _deciders(c)
    return (
        {key: _tally(members, deciders) | _of_fold(members) for key, members in in_fold.items()},
        {key: _tally(members, deciders) | _of_storm(members) for key, members in in_storm.items()},
    )


def _shown(members: list[Any]) -> list[Any]:
    return [row for row in members if row["status"] in (0, 1) and row["snoozed_until"] is None]


def _verdict_at(row: Any) -> int:
    return int(row["time"] if row["resolved_at"] is None else row["resolved_at"])


def _deciders(c: Connection) -> dict[int, str]:
    found = c.execute(
        text(
            "SELECT ch.detection_id, a.actor FROM triage_change ch JOIN triage_action a ON a.id = ch.action_id"
            " WHERE ch.outcome = 1 AND a.verb = 'close' ORDER BY a.id"
        )
    )
    return {detection: actor for detection, actor in found}


def _tally(members: list[Any], deciders: dict[int, str]) -> dict[str, Any]:
    shown = _shown(members)
    last_hour = max(row["time"] for row in members) // HOUR
    hours: dict[str, int] = defaultdict(int)
    assignees: dict[str, int] = defaultdict(int)
    for row in members:
        if row["time"] // HOUR > last_hour - folds.HOURS:
            hours[str(row["time"] // HOUR)] += 1
    for row in shown:
        if row["assignee"]:
            assignees[row["assignee"]] += 1
    judged = [row for row in members if row["classification"]]
    last = max(judged, key=lambda row: (_verdict_at(row), row["id"]), default=None)
    return {
        "total": len(members),
        "open": len(shown),
        "first_seen": min(row["time"] for row in members),
        "last_seen": max(row["time"] for row in members),
        "rank": max((row["rank"] for row in shown), default=-1),
        "last_open": max((row["time"] for row in shown), default=0),
        "due_at": min((row["due_at"] for row in shown if row["due_at"] is not None), default=None),
        "assignees": dict(assignees),
        "hours": dict(hours),
        "last_verdict": last["classification"] if last else 0,
        "last_verdict_at": _verdict_at(last) if last else None,
        "last_verdict_alert": last["id"] if last else None,
        "last_verdict_by": deciders.get(last["id"], last["assignee"]) if last else "",
    }


def _of_fold(members: list[Any]) -> dict[str, Any]:
    true = [row for row in members if row["classification"] == 1]
    return {
        "true_positives": len(true),
        "false_positives": sum(row["classification"] == 2 for row in members),
        "last_true_at": max(map(_verdict_at, true), default=None),
        "spent": sum(
            max(0, row["resolved_at"] - row["acknowledged_at"])
            for row in members
            if None not in (row["resolved_at"], row["acknowledged_at"])
        ),
    }


def _of_storm(members: list[Any]) -> dict[str, Any]:
    return {"organizations": len({row["oid"] for row in _shown(members)})}


def stored(c: Connection) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """What the rows of `fold` and `storm` are."""
    storms = {row["key"]: dict(row) for row in c.execute(select(STORM)).mappings()}
    names = {key: (row["rule"] or row["cat"], json.dumps(row["salient"])) for key, row in storms.items()}
    found = {(row["oid"], *names[row["storm"]]): dict(row) for row in c.execute(select(FOLD)).mappings()}
    shown: dict[int, list[int]] = defaultdict(list)
    for row in found.values():
        if row["open"]:
            shown[row["storm"]].append(row["id"])
    for key, row in storms.items():
        assert row["fold_id"] == (shown[key][0] if len(shown[key]) == 1 else 0)
    in_store = {names[key]: row for key, row in storms.items()}
    assert len(in_store) == len(storms)
    return (
        {key: _without(row, "id", "oid", "storm", "cat", "rule") for key, row in found.items()},
        {key: _without(row, "key", "cat", "rule", "salient", "fold_id") for key, row in in_store.items()},
    )


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def check(c: Connection) -> None:
    """Every fold and storm is what a count from scratch says, and every alert is in the one it belongs to."""
    assert stored(c) == tallies(c)
    strays = (
        select(func.count())
        .select_from(D.outerjoin(FOLD, FOLD.c.id == D.c.fold_id))
        .where((FOLD.c.id.is_(None)) | (FOLD.c.oid != D.c.oid))
    )
    assert c.execute(strays).scalar_one() == 0


def test_first_steps(store: Store) -> None:
    with store.writing() as c:
        put(c, "o1", *(record(n) for n in range(5)))
        put(c, "o2", *(record(n) for n in range(3)))
        put(c, "o2", record(10, event={"SOURCE": {"FILE_PATH": "c:\\evil.exe", "HASH": "b" * 64}}))
        check(c)
        assert c.execute(select(func.count()).select_from(STORM)).scalar_one() == 2
        c.execute(update(D).where(D.c.id < 3).values(status=3, classification=2, resolved_at=NOW + 5))
        folds.recount(c, c.execute(select(D.c.fold_id).where(D.c.id < 3)).scalars())
        check(c)
        folds.set_key(c, "*", ("host",), by="x", at=NOW)
        while folds.rebuild(c).rules:
            pass
        check(c)
