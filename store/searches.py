"""Writing a search into the store as it runs: what was asked, who answered, and what came."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from store.bodies import pack, storable
from store.lcql import ANSWERS, STATES, Question, Quote, columns_of, time_of, union
from store.models import LcqlOrganization, LcqlRow, LcqlSearch

KEPT = 20
"""Searches whose rows are kept: they are events of customers, and nobody reads old ones."""

_SEARCH: Table = LcqlSearch.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = LcqlOrganization.__table__  # type: ignore[attr-defined]
_ROW: Table = LcqlRow.__table__  # type: ignore[attr-defined]

RUNNING, DONE, CANCELLED = range(len(STATES))
WAITING, ASKING, ANSWERED, FAILED, STOPPED = range(len(ANSWERS))


def begin(connection: Connection, question: Question, quotes: Iterable[Quote], *, by: str, now: int) -> int:
    """Write a search that is about to run, and forget the oldest ones; answers its number.

    Organizations whose quote is an error are written down as failed.
    """
    old = (
        connection.execute(select(_SEARCH.c.id).order_by(_SEARCH.c.id.desc()).offset(KEPT - 1))
        .scalars()
        .all()
    )
    for table, column in ((_ROW, _ROW.c.search_id), (_ORGANIZATION, _ORGANIZATION.c.search_id),
                          (_SEARCH, _SEARCH.c.id)):  # fmt: skip
        if old:
            connection.execute(delete(table).where(column.in_(old)))
    made = connection.execute(
        insert(_SEARCH)
        .values(
            at=now, by=storable(by), query=storable(question.query), stream=question.stream,
            since=question.start * 1000, until=question.end * 1000, scope=storable(question.scope),
            most=question.most, state=RUNNING, seen_at=now, columns=[], rows=0, stop=False,
        )
        .returning(_SEARCH.c.id)
    ).scalar_one()  # fmt: skip
    rows = [
        {
            "search_id": made, "oid": quote.oid, "name": storable(quote.name),
            "state": FAILED if quote.error else WAITING, "error": storable(quote.error),
            "price": quote.price, "currency": storable(quote.currency), "rows": 0, "scanned": 0, "cut": False,
        }
        for quote in quotes
    ]  # fmt: skip
    if rows:
        connection.execute(insert(_ORGANIZATION), rows)
    return int(made)


def put_rows(connection: Connection, search_id: int, oid: str, rows: Sequence[Any]) -> None:
    """Add rows as the cloud answered them."""
    if not rows:
        return
    connection.execute(
        insert(_ROW),
        [
            {
                "search_id": search_id, "oid": oid, "time": time_of(row) or 0,
                "body": pack(json.dumps(row, separators=(",", ":")).encode("ascii")),
            }
            for row in rows
        ],
    )  # fmt: skip
    here = (_ORGANIZATION.c.search_id == search_id, _ORGANIZATION.c.oid == oid)
    connection.execute(update(_ORGANIZATION).where(*here).values(rows=_ORGANIZATION.c.rows + len(rows)))
    known: list[str] = connection.execute(
        select(_SEARCH.c.columns).where(_SEARCH.c.id == search_id)
    ).scalar_one()
    columns = union(known, (storable(name) for name in columns_of(rows[0])))
    connection.execute(
        update(_SEARCH)
        .where(_SEARCH.c.id == search_id)
        .values(rows=_SEARCH.c.rows + len(rows), columns=columns)
    )


def mark(
    connection: Connection,
    search_id: int,
    oid: str,
    state: int,
    *,
    error: str = "",
    scanned: int = 0,
    cut: bool = False,
) -> None:
    """How far an organization has come; an index of `store.lcql.ANSWERS`."""
    connection.execute(
        update(_ORGANIZATION)
        .where(_ORGANIZATION.c.search_id == search_id, _ORGANIZATION.c.oid == oid)
        .values(state=state, error=storable(error), scanned=scanned, cut=cut)
    )


def alive(connection: Connection, search_id: int, now: int) -> None:
    """Whoever runs it gives a sign of life."""
    connection.execute(update(_SEARCH).where(_SEARCH.c.id == search_id).values(seen_at=now))


def stop(connection: Connection, search_id: int) -> bool:
    """Ask for the end of a search, whichever process runs it; False when it has ended already."""
    done = connection.execute(
        update(_SEARCH).where(_SEARCH.c.id == search_id, _SEARCH.c.state == RUNNING).values(stop=True)
    )
    return done.rowcount > 0


def asked_to_stop(connection: Connection, search_id: int) -> bool:
    """Whether somebody asked for its end, or it is no longer there."""
    return bool(
        connection.execute(select(_SEARCH.c.stop).where(_SEARCH.c.id == search_id)).scalar_one_or_none()
        in (None, True)
    )


def finish(connection: Connection, search_id: int, *, cancelled: bool, now: int) -> None:
    """It ended; whoever was still to be asked was not."""
    connection.execute(
        update(_ORGANIZATION)
        .where(_ORGANIZATION.c.search_id == search_id, _ORGANIZATION.c.state.in_((WAITING, ASKING)))
        .values(state=STOPPED)
    )
    connection.execute(
        update(_SEARCH)
        .where(_SEARCH.c.id == search_id)
        .values(state=CANCELLED if cancelled else DONE, finished_at=now, seen_at=now)
    )
