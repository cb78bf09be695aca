"""What searches over several organizations found."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, literal, select, tuple_

from store.bodies import unpack
from store.lcql import ANSWERS, DEAD_AFTER, STATES, Row, words_of
from store.models import LcqlOrganization, LcqlRow, LcqlSearch
from store.text import Untrusted

_SEARCH: Table = LcqlSearch.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = LcqlOrganization.__table__  # type: ignore[attr-defined]
_ROW: Table = LcqlRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Search:
    """One search, and how far it has come."""

    id: int
    at: int
    by: Untrusted
    query: Untrusted
    stream: str
    since: int
    until: int
    scope: Untrusted
    most: int
    state: str
    """running, done, cancelled, or interrupted where whoever ran it is gone."""
    rows: int
    columns: tuple[Untrusted, ...]
    finished_at: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one organization answered."""

    oid: str
    name: Untrusted
    state: str
    error: Untrusted
    price: float | None
    currency: Untrusted
    rows: int
    scanned: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One row in the table."""

    id: int
    time: int
    oid: str
    organization: Untrusted
    words: Row
    """All of it strangers' texts."""
    body: bytes
    """The row as JSON."""


def searches(connection: Connection, *, now: int, limit: int = 50) -> list[Search]:
    """Newest first."""
    found = connection.execute(select(*_SEARCH.c).order_by(_SEARCH.c.id.desc()).limit(limit))
    return [
        Search(
            row.id, row.at, Untrusted(row.by), Untrusted(row.query), row.stream, row.since, row.until,
            Untrusted(row.scope), row.most, _state(row, now), row.rows,
            tuple(map(Untrusted, row.columns)), row.finished_at,
        )
        for row in found
    ]  # fmt: skip


def _state(row: Any, now: int) -> str:
    state = STATES[row.state]
    return "interrupted" if state == "running" and now - row.seen_at > DEAD_AFTER else state


def answers(connection: Connection, search_id: int) -> list[Answer]:
    """Every organization that was asked: failed ones first, then those with the most rows."""
    found = connection.execute(
        select(*_ORGANIZATION.c)
        .where(_ORGANIZATION.c.search_id == search_id)
        .order_by(
            (_ORGANIZATION.c.state != ANSWERS.index("failed")),
            _ORGANIZATION.c.rows.desc(),
            func.lower(_ORGANIZATION.c.name),
            _ORGANIZATION.c.oid,
        )
    )
    return [
        Answer(
            row.oid, Untrusted(row.name or row.oid), ANSWERS[row.state], Untrusted(row.error), row.price,
            Untrusted(row.currency), row.rows, row.scanned, bool(row.cut),
        )
        for row in found
    ]  # fmt: skip


def results(
    connection: Connection,
    search_id: int,
    *,
    oid: str = "",
    after: tuple[int, int] | None = None,
    before: tuple[int, int] | None = None,
    starting: tuple[int, int] | None = None,
    limit: int = 100,
    backwards: bool = False,
) -> list[Result]:
    """Rows of a search, newest first, by keyset over (time, id).

    Args:
        oid: of one organization only.
        after: behind this key; before: the last ones ahead of it; starting: from it on.
        backwards: the last rows of all.
    """
    keys = tuple_(_ROW.c.time, _ROW.c.id)
    wanted = (
        select(_ROW.c.id, _ROW.c.time, _ROW.c.oid, _ORGANIZATION.c.name, _ROW.c.body)
        .select_from(
            _ROW.join(
                _ORGANIZATION,
                (_ORGANIZATION.c.search_id == _ROW.c.search_id) & (_ORGANIZATION.c.oid == _ROW.c.oid),
            )
        )
        .where(_ROW.c.search_id == search_id)
    )
    if oid:
        wanted = wanted.where(_ROW.c.oid == oid)
    if after is not None:
        wanted = wanted.where(keys < tuple_(*map(literal, after)))
    if starting is not None:
        wanted = wanted.where(keys <= tuple_(*map(literal, starting)))
    upwards = backwards or before is not None
    if before is not None:
        wanted = wanted.where(keys > tuple_(*map(literal, before)))
    order = [_ROW.c.time, _ROW.c.id]
    found = connection.execute(
        wanted.order_by(*(key.asc() if upwards else key.desc() for key in order)).limit(limit)
    )
    rows = [_result(row) for row in found]
    return rows[::-1] if upwards else rows


def _result(row: Any) -> Result:
    body = unpack(row.body)
    try:
        words = words_of(json.loads(body))
    except (ValueError, RecursionError):
        words = Row(row.time or None, what="(this row cannot be shown)")
    return Result(row.id, row.time, row.oid, Untrusted(row.name or row.oid), words, body)
