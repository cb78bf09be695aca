"""Whether the fixture holds what real ingest writes: ten thousand of its alerts, at random, through both."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from benchmarks import fixture
from benchmarks.figure import Figure
from store import folds, ingest, models, textindex
from store.database import Reader, Store

COMPARED = 10_000
_ASIDE = {"id", "fold_id"}
"""Numbers that depend on what else there is."""
_STATE = {"status", "classification", "assignee", "version", "acknowledged_at", "resolved_at", "due_at"}
"""What triage would have changed since; `due_at` goes with the status."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_FOLD: Table = models.Fold.__table__  # type: ignore[attr-defined]
_STORM: Table = models.Storm.__table__  # type: ignore[attr-defined]


def figures(runs: int) -> Iterator[Figure]:
    """How many differ, which has to be none, and how many folds are not what their alerts add up to."""
    held = fixture.held(fixture.alerts())
    numbers = sorted(fixture.sample(COMPARED, held.alerts))
    wrong = differing(held, numbers)
    yield Figure("agreement", f"alerts of {len(numbers):,} that differ", len(wrong), 1, 0, "", absolute=True)


def differing(held: fixture.Held, numbers: list[int]) -> list[str]:
    """What differs between these alerts of the fixture and what ingest makes of the same detections."""
    with (
        tempfile.TemporaryDirectory() as home,
        closing(Store(f"sqlite:///{Path(home) / 'store.db'}")) as store,
    ):
        by_organization: dict[str, list[bytes]] = {}
        for number in numbers:
            by_organization.setdefault(fixture.oid_of(number), []).append(fixture.raw(number, held.now))
        for oid, bodies in by_organization.items():
            with store.writing() as c:
                ingest.put_detections(c, oid, [ingest.detection_from(body, oid) for body in bodies])
        with closing(Reader(held.url)) as reader, reader.reading() as there, store.reader.reading() as here:
            return list(_compared(there, here, numbers, held))


def _compared(there: Connection, here: Connection, numbers: list[int], held: fixture.Held) -> Iterator[str]:
    for number in numbers:
        oid = fixture.oid_of(number)
        built = _row(there, _D.c.id == number + 1)
        new = fixture.derived(number, held.now, oid)[0]
        real = _row(here, (_D.c.oid == oid) & (_D.c.detect_id == new["detect_id"]))
        if built is None or real is None:
            yield f"alert {number} is missing"
            continue
        for name in built.keys() - _ASIDE - _STATE - {"storm"}:
            if built[name] != real[name]:
                yield f"alert {number}: {name} is {built[name]!r} instead of {real[name]!r}"
        if built["storm"] != real["storm"]:
            yield f"alert {number} is in another fold"
        state = {
            "status": 0,
            "classification": 0,
            "assignee": "",
            "version": 0,
            "acknowledged_at": None,
            "resolved_at": None,
        }
        if {name: real[name] for name in state} != state:
            yield f"alert {number} is not new when it comes"
        if new["status"] == 0 and built["due_at"] != real["due_at"]:
            yield f"alert {number}: its clock runs until {built['due_at']} instead of {real['due_at']}"
        raw = fixture.raw(number, held.now)
        tokens = textindex.tokens_of(
            raw, textindex.record_of(raw), cat=real["cat"], rule=real["rule"], hostname=real["hostname"]
        ).split()
        if not (_finds(there, tokens, oid, built["id"]) and _finds(here, tokens, oid, real["id"])):
            yield f"alert {number} is not found by its tokens"


def _row(c: Connection, condition: Any) -> dict[str, Any] | None:
    found = c.execute(
        select(_D, _STORM.c.salient.label("storm"))
        .select_from(
            _D.outerjoin(_FOLD, (_FOLD.c.id == _D.c.fold_id) & (_FOLD.c.oid == _D.c.oid)).outerjoin(
                _STORM, _STORM.c.key == _FOLD.c.storm
            )
        )
        .where(condition)
    ).mappings().one_or_none()  # fmt: skip
    return None if found is None else dict(found)


def _finds(c: Connection, tokens: list[str], oid: str, number: int) -> bool:
    """Whether all tokens together find it."""
    dialect = c.dialect.name
    query = textindex.all_of(
        dialect,
        [*(textindex.term(dialect, token) for token in tokens), textindex.label_query(dialect, "oid", [oid])],
    )
    return textindex.newest(c, query, before=number + 1, limit=1) == [number]


def miscounted(held: fixture.Held) -> list[str]:
    """The folds and storms of the fixture that are not what their alerts add up to; some minutes for a million."""
    with closing(Reader(held.url)) as reader, reader.reading() as c:
        return folds.miscounted(c)
