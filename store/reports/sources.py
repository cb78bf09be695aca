"""What is known of an organization for a period: how far it was read, and what is missing."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from store import models
from store.configuration import not_permitted
from store.queries.cases import subscribed
from store.reports.figures import Note, Source, State
from store.reports.periods import Period
from store.text import Untrusted

_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]

FEW = 500
"""Organizations that are asked for by their ids; of more, all are read."""

LATELY = 3_600_000
"""Milliseconds: what was read within them counts as read now."""


@dataclass(frozen=True, slots=True)
class Known:
    """How far one subject of one organization was read."""

    checked_at: int | None = None
    failure: str = ""
    reason: str = ""
    mark: int | None = None
    start: int | None = None
    """From when on it is known (ms); None where that was not kept."""
    pending: tuple[tuple[int, int], ...] = ()
    """Stretches still to be read (ms)."""


def known(connection: Connection, oids: Collection[str]) -> dict[str, dict[str, Known]]:
    """oid -> subject -> how far it was read, of the subjects that reports rest on."""
    query = select(
        _STATE.c.oid, _STATE.c.subject, _STATE.c.cursor, _STATE.c.mark, _STATE.c.checked_at, _STATE.c.failure,
        _STATE.c.reason,
    ).where(
        _STATE.c.subject.in_(("detections", "cases", "sensors", "organization", "usage", "configuration"))
    )  # fmt: skip
    wanted = list(oids)
    found: dict[str, dict[str, Known]] = {oid: {} for oid in wanted}
    # A handful is asked for by its ids; of very many, all are read and some left out.
    pieces = [wanted[at : at + 500] for at in range(0, len(wanted), 500)] if len(wanted) <= 2_000 else [None]
    for piece in pieces:
        for row in connection.execute(query if piece is None else query.where(_STATE.c.oid.in_(piece))):
            if row.oid in found:
                found[row.oid][row.subject] = _known(row)
    return found


def _known(row: Any) -> Known:
    start: int | None = None
    pending: list[tuple[int, int]] = []
    try:
        # `console.operations.sync.Progressing`: seconds; each stretch is [start, end, cursor, ...].
        said = json.loads(row.cursor) if row.cursor else {}
        start = int(said["start"]) * 1000 if "start" in said else None
        pending = [(int(each[0]) * 1000, int(each[1]) * 1000) for each in said.get("pending", ())]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        start, pending = None, []
    return Known(row.checked_at, row.failure, Untrusted(row.reason), row.mark, start, tuple(pending))


def events(
    state: Known | None, period: Period, *, now: int, name: str = "detections", pruned: int = 0
) -> Source:
    """What happened in a period, of a subject that is read along its time axis.

    Args:
        state: of `detections`.
        now: milliseconds, UTC.
        pruned: what is older was taken out of the store (ms); 0 when nothing was.
    """
    if state is None or (state.checked_at is None and state.mark is None):
        return Source(name, period, None, "unknown", (_unread(state),))
    since, until = period.since, _end(period, now)
    notes: list[Note] = []
    upto = state.mark if state.mark is not None else state.checked_at or 0
    if upto < until:
        notes.append(Note("known_until", {"at": upto}))
    elif period.until > now:
        notes.append(Note("not_over", {"at": upto}))
    if state.start is None:
        notes.append(Note("start_unknown"))
    elif state.start > since:
        notes.append(Note("known_since", {"at": state.start}))
    if any(start < until and end > since for start, end in state.pending):
        notes.append(Note("still_reading"))
    if pruned > since:
        notes.append(Note("pruned", {"at": pruned}))
    if state.failure:
        notes.append(_failed(state))
    whole = all(note.key == "not_over" or _harmless(note, state, until) for note in notes)
    return Source(name, period, state.checked_at, "whole" if whole else "part", tuple(notes))


def _harmless(note: Note, state: Known, until: int) -> bool:
    """A failure after everything of the period was read takes nothing from it."""
    return note.key == "failed" and state.mark is not None and state.mark >= until


def moment(state: Known | None, name: str) -> Source:
    """How something is: as it was read last."""
    if state is None or state.checked_at is None:
        return Source(name, None, None, "unknown", (_unread(state),))
    if state.failure:
        return Source(name, None, state.checked_at, "whole", (_failed(state),))
    return Source(name, None, state.checked_at, "whole")


def listing(state: Known | None, period: Period, name: str, *, now: int, pruned: int = 0) -> Source:
    """What a listing tells of a period, whole once it was read after its end; arguments as `events`."""
    if state is None or state.checked_at is None:
        return Source(name, period, None, "unknown", (_unread(state),))
    notes: list[Note] = []
    word: State = "whole"
    if state.checked_at < _end(period, now):
        word = "part"
        notes.append(Note("known_until", {"at": state.checked_at}))
    elif period.until > now:
        notes.append(Note("not_over", {"at": state.checked_at}))
    if pruned > period.since:
        word = "part"
        notes.append(Note("pruned", {"at": pruned}))
    if state.failure:
        notes.append(_failed(state))
    return Source(name, period, state.checked_at, word, tuple(notes))


def _end(period: Period, now: int) -> int:
    """Until when a period has to be known to be whole: its end, or lately while it goes on (ms)."""
    return period.until if period.until <= now else now - LATELY


def _unread(state: Known | None) -> Note:
    return _failed(state) if state is not None and state.failure else Note("never_read")


def _failed(state: Known) -> Note:
    return Note("failed", {"kind": state.failure, "reason": Untrusted(state.reason)})


def pruned(connection: Connection, oid: str = "") -> dict[str, int]:
    """oid -> before when alerts and cases were taken out of the store (ms), as the journal tells."""
    query = select(_JOURNAL.c.oid, _JOURNAL.c.detail).where(_JOURNAL.c.action == "store.prune")
    if oid:
        query = query.where(_JOURNAL.c.oid == oid)
    found: dict[str, int] = {}
    for row in connection.execute(query):
        before = row.detail.get("before")
        if isinstance(before, int):
            found[row.oid] = max(before, found.get(row.oid, 0))
    return found


def cases(
    connection: Connection,
    states: Mapping[str, Mapping[str, Known]],
    periods: Mapping[str, Period],
    *,
    now: int,
    pruned: Mapping[str, int],
) -> dict[str, Source | None]:
    """oid -> what is told of its cases of its period; None where it is known to have no case system.

    That is known of an organization of which the extensions were read, and the one of cases is not among
    them. One of which they never were may have cases: nobody knows.

    Args:
        states: as `known` has them.
        periods: by oid.
        now: milliseconds, UTC.
        pruned: as `pruned` has it.
    """
    having = subscribed(connection, states.keys() if len(states) <= FEW else None)
    return {
        oid: listing(mine.get("cases"), periods[oid], "cases", now=now, pruned=pruned.get(oid, 0))
        if oid in having or not _extensions_read(mine.get("configuration"))
        else None
        for oid, mine in states.items()
    }


def _extensions_read(state: Known | None) -> bool:
    return (
        state is not None and state.checked_at is not None and "extension" not in not_permitted(state.reason)
    )


def names(connection: Connection, oids: Collection[str] | None = None) -> Mapping[str, Untrusted]:
    """oid -> name, of these or of all that are there."""
    query = select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name).where(_ORGANIZATION.c.gone_at.is_(None))
    if oids is not None:
        query = query.where(_ORGANIZATION.c.oid.in_(list(oids)))
    return {oid: Untrusted(name or oid) for oid, name in connection.execute(query)}
