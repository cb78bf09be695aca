"""Taking alerts out of the store, with everything that was written together with them.

Every function takes a connection of `Store.writing()`. Counters, folds and the text index are exact
afterwards.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func, select, update
from sqlmodel import SQLModel

from store import folds, models, textindex
from store.bodies import unpack
from store.errors import StoreDamaged

TOGETHER: Final = 500
"""Alerts that one transaction takes out at most."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_COUNT: Table = models.DetectionCount.__table__  # type: ignore[attr-defined]
_SNOOZE: Table = models.Snooze.__table__  # type: ignore[attr-defined]
_LABEL: Table = models.AlertLabel.__table__  # type: ignore[attr-defined]

_NEEDED: Final = ("id", "severity", "status", "fold_id", "cat", "rule", "hostname")

OF_ALERTS: Final[dict[str, str]] = {
    "detection": "id",
    "detection_body": "detection_id",
    "snooze": "detection_id",
    "triage_change": "detection_id",
    "campaign_alert": "detection_id",
}
"""The tables that have rows of an alert, and in which column its number stands."""


def remove(c: Connection, oid: str, ids: Sequence[int]) -> dict[str, int]:
    """Take alerts of one organization out; answers how many rows of which table went.

    Args:
        ids: at most a few hundred; those that are not there are left out.
    """
    rows = c.execute(
        select(*(_D.c[name] for name in _NEEDED), _BODY.c.body)
        .select_from(_D.outerjoin(_BODY, _BODY.c.detection_id == _D.c.id))
        .where(_D.c.oid == oid, _D.c.id.in_(ids))
    ).all()
    if not rows:
        return {}
    indexed = []
    for row in rows:
        raw = _raw(row.body)
        tokens = textindex.tokens_of(
            raw, textindex.record_of(raw), cat=row.cat, rule=row.rule, hostname=row.hostname
        )
        indexed.append((row.id, tokens))
    textindex.remove(c, oid, indexed)
    mine = [row.id for row in rows]
    gone: dict[str, int] = {}
    for name, column in OF_ALERTS.items():
        table = SQLModel.metadata.tables[name]
        gone[name] = c.execute(delete(table).where(table.c[column].in_(mine))).rowcount
    for (severity, status), number in Counter((row.severity, row.status) for row in rows).items():
        here = (_COUNT.c.oid == oid, _COUNT.c.severity == severity, _COUNT.c.status == status)
        c.execute(update(_COUNT).where(*here).values(count=_COUNT.c.count - number))
    for fold_id, number in Counter(row.fold_id for row in rows if row.fold_id).items():
        # What waits for so many members in all has seen these.
        waiting = (_SNOOZE.c.fold_id == fold_id, _SNOOZE.c.more > number)
        c.execute(update(_SNOOZE).where(*waiting).values(more=_SNOOZE.c.more - number))
    folds.recount(c, {row.fold_id for row in rows}, moved=True)
    gone["alert_label"] = _unlabel(
        c,
        {
            (kind, value)
            for row in rows
            for kind, value in enumerate((row.cat, row.rule, row.hostname))
            if value
        },
    )
    return {name: number for name, number in gone.items() if number}


def _raw(packed: bytes | None) -> bytes:
    try:
        return unpack(packed) if packed is not None else b""
    except StoreDamaged:
        return b""


def _unlabel(c: Connection, labels: set[tuple[int, str]]) -> int:
    """Take away the labels that no alert has any more."""
    gone = 0
    for kind, value in sorted(labels):
        name = textindex.LABELS[kind]
        if textindex.count(c, textindex.label_query(c.dialect.name, name, [value]), cap=1):
            continue
        kept = value[: textindex.LABEL]
        if len(value) >= textindex.LABEL:  # of the long ones, others may begin alike
            alike = select(_D.c.id).where(func.substr(_D.c[name], 1, textindex.LABEL) == kept)
            if c.execute(alike.limit(1)).first() is not None:
                continue
        condition: Any = (_LABEL.c.kind == kind, _LABEL.c.value == kept)
        gone += c.execute(delete(_LABEL).where(*condition)).rowcount
    return gone
