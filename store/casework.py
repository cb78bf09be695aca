"""What is wanted of cases, written down: edits that wait to be sent, and cases that are only here.

Every function takes a connection of `Store.writing()`. An edit is a row before anything is sent, one
process takes it (`take`), and what came of it is a row again (`settle`): whoever is killed in between leaves
a row that says how far it came.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, not_, select, update

from store import ingest, models
from store.alerts import CLASSIFICATIONS
from store.bodies import storable
from store.cases import (
    CONFLICT,
    DONE,
    MERGED,
    PENDING,
    REFUSED,
    SENDING,
    not_a_step,
    reference,
    with_tags,
)
from store.configuration import canonical
from store.queries import cases as queries
from store.times import rfc3339

_C: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]
_EDIT: Table = models.CaseEdit.__table__  # type: ignore[attr-defined]
_LINK: Table = models.CaseDetection.__table__  # type: ignore[attr-defined]
_EVENT: Table = models.CaseEvent.__table__  # type: ignore[attr-defined]
_ITEM: Table = models.CaseItem.__table__  # type: ignore[attr-defined]
_READING: Table = models.CaseReading.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]

ALERTS = "alerts"
"""Who wants an edit that follows from decisions on alerts."""
ASKED = "!"
"""Behind `CaseReading.agreed`: the case is what its alerts asked for, and not compared since."""

_CHANGED = {
    "severity": "case_severity_changed", "assignees": "case_assigned", "classification": "case_classified",
    "summary": "case_summary_updated", "conclusion": "case_conclusion_updated",
}  # fmt: skip
"""The event of each field that an update changes, as Cases call it."""


class NotPossible(Exception):
    """A case cannot be changed so; the text is the sentence for the operator."""


# Edits


def add_edit(
    c: Connection,
    *,
    oid: str,
    number: int,
    what: str,
    wanted: Mapping[str, Any],
    seen: Mapping[str, Any],
    by: str,
    now: int,
    state: int = PENDING,
    reason: str = "",
    found: Mapping[str, Any] | None = None,
) -> int:
    """Write down what is wanted; answers its number."""
    made = c.execute(
        insert(_EDIT).values(
            oid=oid, case_number=number, what=what, wanted=dict(wanted), seen=dict(seen), state=state,
            reason=storable(reason), found=dict(found or {}), by=storable(by), at=now, holder="",
            sent_at=None, finished_at=now if state >= DONE else None,
        )
    ).inserted_primary_key  # fmt: skip
    return int(made[0]) if made else 0


def take(c: Connection, ids: Collection[int], holder: str, *, now: int) -> list[int]:
    """Take pending edits for sending; answers those that nobody else had taken."""
    taken = []
    for edit_id in sorted(ids):
        won = c.execute(
            update(_EDIT)
            .where(_EDIT.c.id == edit_id, _EDIT.c.state == PENDING)
            .values(state=SENDING, holder=holder, sent_at=now, reason="")
        ).rowcount
        if won:
            taken.append(edit_id)
    return taken


def take_over(c: Connection, edit_id: int, before: str, holder: str, *, now: int) -> bool:
    """Take an edit from a process that is no longer there; False when somebody else did."""
    won = c.execute(
        update(_EDIT)
        .where(_EDIT.c.id == edit_id, _EDIT.c.state == SENDING, _EDIT.c.holder == before)
        .values(holder=holder, sent_at=now)
    ).rowcount
    return bool(won)


def note_before(c: Connection, edit_id: int, holder: str, found: Mapping[str, Any]) -> bool:
    """Keep what was there before an edit is sent: what tells afterwards whether it was made.

    False when another process has taken the edit meanwhile: it must not be sent then.
    """
    won = c.execute(
        update(_EDIT)
        .where(_EDIT.c.id == edit_id, _EDIT.c.state == SENDING, _EDIT.c.holder == holder)
        .values(found=dict(found))
    ).rowcount
    return bool(won)


def settle(
    c: Connection,
    edit_id: int,
    state: int,
    *,
    now: int,
    reason: str = "",
    found: Mapping[str, Any] | None = None,
    wanted: Mapping[str, Any] | None = None,
    seen: Mapping[str, Any] | None = None,
) -> None:
    """Say what came of an edit; PENDING puts it back into the queue."""
    values: dict[str, Any] = {"state": state, "reason": storable(reason), "holder": ""}
    values["finished_at"] = now if state >= DONE else None
    for name, value in (("found", found), ("wanted", wanted), ("seen", seen)):
        if value is not None:
            values[name] = dict(value)
    c.execute(update(_EDIT).where(_EDIT.c.id == edit_id).values(**values))
    if state == DONE:
        _agree(c, edit_id)


def _agree(c: Connection, edit_id: int) -> None:
    """What a case became for its alerts is no move of its own: they may be something else by now."""
    edit = c.execute(select(_EDIT).where(_EDIT.c.id == edit_id)).one()
    status = edit.wanted.get("status")
    if edit.by != ALERTS or edit.what != "update" or status is None:
        return
    classification = edit.wanted.get("classification", CLASSIFICATIONS[0])
    c.execute(
        update(_READING)
        .where(_READING.c.oid == edit.oid, _READING.c.case_number == edit.case_number)
        .values(agreed=f"{status}/{classification}{ASKED}")
    )


def renumber(c: Connection, oid: str, local: int, number: int, *, now: int) -> None:
    """A case that was only here is in the cloud now: its edits go on under its number there."""
    c.execute(
        update(_EDIT).where(_EDIT.c.oid == oid, _EDIT.c.case_number == local).values(case_number=number)
    )
    held = queries.links(c, oid, local)
    ingest.delete_case(c, oid, local)
    ingest.put_case_links(
        c,
        oid,
        number,
        [
            {"detect_id": each.detect_id, "cat": each.cat, "hostname": each.hostname, "sid": each.sid,
             "added_at": rfc3339(each.added_at)}
            for each in held
        ],
        count=-1,
    )  # fmt: skip


# Cases that are only here


def put_here(
    c: Connection,
    oid: str,
    *,
    severity: str,
    summary: str,
    detect_ids: Sequence[str],
    by: str,
    now: int,
) -> int:
    """Make a case that is only here; answers its number, which is negative."""
    lowest = c.execute(
        select(func.min(_C.c.case_number)).where(_C.c.oid == oid, _C.c.case_number < 0)
    ).scalar_one_or_none()
    edited = c.execute(
        select(func.min(_EDIT.c.case_number)).where(_EDIT.c.oid == oid, _EDIT.c.case_number < 0)
    ).scalar_one_or_none()
    number = min(lowest or 0, edited or 0) - 1
    row: dict[str, Any] = {
        "case_id": str(uuid.uuid4()), "case_number": number, "oid": oid, "status": "new",
        "severity": severity, "classification": "pending", "assignees": [], "tags": [],
        "summary": storable(summary), "conclusion": "", "detection_count": len(detect_ids),
        "created_at": rfc3339(now), "acknowledged_at": None, "resolved_at": None, "closed_at": None,
        "merged_into_case_id": None,
    }  # fmt: skip
    ingest.put_case_row(c, row, now=now)
    _put_links(c, oid, number, detect_ids, now=now)
    ingest.put_case_reading(c, oid, number, read_at=now)
    _happened(c, oid, number, "case_created", by, now, severity=severity, summary=row["summary"])
    return number


def read_whole(c: Connection, oid: str, number: int) -> set[str] | None:
    """The ids of the events of a case that was read whole and is not known to have changed; else None."""
    here = (_READING.c.oid == oid, _READING.c.case_number == number)
    asked = select(_READING.c.oid).where(*here, _READING.c.read_at.is_not(None), not_(_READING.c.stale))
    if c.execute(asked).first() is None:
        return None
    return set(
        c.execute(
            select(_EVENT.c.event_id).where(_EVENT.c.oid == oid, _EVENT.c.case_number == number)
        ).scalars()
    )


ATTACHED: Final = ("entity", "telemetry", "artifact")
"""What is attached to a case, as the store calls it: entities, events and artifacts."""


def touched(c: Connection, oid: str, number: int, *, besides: Collection[str]) -> set[str]:
    """Which kinds of what is attached to a case are told of by its events, but for some that were known.

    What it took over of a merged case is all of them.
    """
    found: set[str] = set()
    asked = select(_EVENT.c.event_id, _EVENT.c.action).where(
        _EVENT.c.oid == oid, _EVENT.c.case_number == number
    )
    for event_id, action in c.execute(asked):
        if event_id in besides:
            continue
        if action == "case_merged_from":
            found.update(ATTACHED)
        found.update(kind for kind in ATTACHED if action.startswith(f"case_{kind}_"))
    return found


def change_here(
    c: Connection, oid: str, number: int, what: str, wanted: Mapping[str, Any], *, by: str, now: int
) -> dict[str, Any]:
    """Change a case that is only here, by the rules that Cases have.

    Returns:
        What it became, such as the id of a note.

    Raises:
        NotPossible: the case does not take this step, or is gone.
    """
    row = queries.row(c, oid, number)
    if not row:
        raise NotPossible(f"There is no case {reference('', number)} any more.")
    if row.get("merged_into_case_id") and what != "note":
        raise NotPossible(f"The case {reference('', number)} was merged into another one.")
    match what:
        case "update":
            _update_here(c, row, wanted, by=by, now=now)
        case "tags":
            tags = with_tags(row["tags"], wanted.get("add", ()), wanted.get("remove", ()))
            _happened(c, oid, number, "case_tags_updated", by, now, old=row["tags"], new=tags)
            ingest.put_case_row(c, {**row, "tags": tags}, now=now)
        case "note":
            return {"event_id": _happened(c, oid, number, "case_note_added", by, now, **wanted)}
        case "visibility":
            _show_here(c, oid, number, wanted, by=by, now=now)
        case "entity" | "telemetry":
            return {"item_id": _attach_here(c, oid, number, what, wanted, by=by, now=now)}
        case "link":
            _put_links(c, oid, number, wanted["detect_ids"], now=now)
            held = len(queries.links(c, oid, number))
            ingest.put_case_row(c, {**row, "detection_count": held}, now=now)
            for detect_id in wanted["detect_ids"]:
                _happened(c, oid, number, "case_detection_added", by, now, detect_id=detect_id)
        case "unlink":
            c.execute(
                _LINK.delete().where(
                    _LINK.c.oid == oid,
                    _LINK.c.case_number == number,
                    _LINK.c.detect_id == wanted["detect_id"],
                )
            )
            held = len(queries.links(c, oid, number))
            ingest.put_case_row(c, {**row, "detection_count": held}, now=now)
            _happened(c, oid, number, "case_detection_removed", by, now, **wanted)
        case "merge":
            _merge_here(c, row, wanted["sources"], by=by, now=now)
        case "time":
            _happened(c, oid, number, "case_time_logged", by, now, **wanted)
        case _:
            raise NotPossible(f"A case that is only here has no {what}.")
    return {}


def _update_here(c: Connection, row: dict[str, Any], wanted: Mapping[str, Any], *, by: str, now: int) -> None:
    oid, number = row["oid"], row["case_number"]
    new = dict(row)
    status = wanted.get("status", row["status"])
    if why := not_a_step(row["status"], status):
        raise NotPossible(why)
    for name, action in _CHANGED.items():
        if name in wanted and wanted[name] != row[name]:
            new[name] = wanted[name]
            _happened(c, oid, number, action, by, now, old=row[name], new=wanted[name])
    if status != row["status"]:
        new["status"] = status
        moment = rfc3339(now)
        _happened(c, oid, number, "case_status_changed", by, now, old=row["status"], new=status)
        if status == "in_progress":
            new["acknowledged_at"] = row["acknowledged_at"] or moment
            new["resolved_at"] = new["closed_at"] = None
        else:
            new[f"{status}_at"] = moment
    ingest.put_case_row(c, new, now=now)


def _show_here(c: Connection, oid: str, number: int, wanted: Mapping[str, Any], *, by: str, now: int) -> None:
    here = (
        (_EVENT.c.oid == oid)
        & (_EVENT.c.case_number == number)
        & (_EVENT.c.event_id == wanted["event_id"])
        & (_EVENT.c.action == "case_note_added")
    )
    details = c.execute(select(_EVENT.c.details).where(here)).scalar_one_or_none()
    if details is None:
        raise NotPossible("This note is not there any more.")
    c.execute(update(_EVENT).where(here).values(details={**details, "is_public": wanted["is_public"]}))
    _happened(c, oid, number, "case_note_visibility_changed", by, now, **wanted)


def _attach_here(
    c: Connection, oid: str, number: int, kind: str, wanted: Mapping[str, Any], *, by: str, now: int
) -> str:
    details = {"verdict": "unknown", "note": "", **wanted, "added_by": by, "added_at": rfc3339(now)}
    name = canonical(
        {"kind": wanted["entity_type"], "value": wanted["entity_value"]}
        if kind == "entity"
        else {"atom": wanted["atom"], "sid": wanted["sid"]}
    )
    item_id = hashlib.sha256(name).hexdigest()[:32]
    details[f"{kind}_id"] = item_id
    held = c.execute(
        select(_ITEM.c.item_id).where(
            _ITEM.c.oid == oid, _ITEM.c.case_number == number, _ITEM.c.kind == kind,
            _ITEM.c.item_id == item_id,
        )
    ).first()  # fmt: skip
    if held is not None:
        raise NotPossible(f"The case {reference('', number)} has this {kind} already.")
    c.execute(insert(_ITEM).values(oid=oid, case_number=number, kind=kind, item_id=item_id, details=details))
    _happened(c, oid, number, f"case_{kind}_added", by, now, **wanted)
    return item_id


def _merge_here(c: Connection, row: dict[str, Any], sources: Sequence[int], *, by: str, now: int) -> None:
    oid, number = row["oid"], row["case_number"]
    if not 0 < len(sources) <= MERGED or number in sources:
        raise NotPossible(f"At most {MERGED} other cases are merged into one, and at least one.")
    rows = [queries.row(c, oid, source) for source in sources]
    for source, each in zip(sources, rows, strict=True):
        if not each or each["status"] == "closed" or row["status"] == "closed":
            raise NotPossible(f"A case that is closed cannot be merged: {reference('', source)}.")
    for each in rows:
        source = each["case_number"]
        held = [str(link.detect_id) for link in queries.links(c, oid, source)]
        c.execute(_LINK.delete().where(_LINK.c.oid == oid, _LINK.c.case_number == source))
        _put_links(c, oid, number, held, now=now)
        closed = {
            **each, "status": "closed", "closed_at": rfc3339(now), "merged_into_case_id": row["case_id"],
            "detection_count": 0,
        }  # fmt: skip
        ingest.put_case_row(c, closed, now=now)
        _happened(c, oid, source, "case_merged_into", by, now, case_number=number)
        _happened(c, oid, number, "case_merged_from", by, now, case_number=source)
    held_now = len(queries.links(c, oid, number))
    ingest.put_case_row(c, {**row, "detection_count": held_now}, now=now)


def _put_links(c: Connection, oid: str, number: int, detect_ids: Iterable[str], *, now: int) -> None:
    wanted = [*dict.fromkeys(detect_ids)]
    before = {str(link.detect_id) for link in queries.links(c, oid, number)}
    known = {
        row.detect_id: row
        for row in c.execute(
            select(_D.c.detect_id, _D.c.cat, _D.c.hostname, _D.c.sid).where(
                _D.c.oid == oid, _D.c.detect_id.in_(wanted)
            )
        )
    }
    for detect_id in wanted:
        if detect_id in before:
            continue
        row = known.get(detect_id)
        c.execute(
            insert(_LINK).values(
                oid=oid, case_number=number, detect_id=detect_id, added_at=now,
                cat=row.cat if row else "", hostname=row.hostname if row else "", sid=row.sid if row else "",
            )
        )  # fmt: skip
    ingest.put_case_reading(c, oid, number, links=len(before | set(wanted)))


def _happened(c: Connection, oid: str, number: int, action: str, by: str, now: int, **details: Any) -> str:
    event_id = str(uuid.uuid4())
    here = (_EVENT.c.oid == oid, _EVENT.c.case_number == number)
    place = c.execute(select(func.count()).select_from(_EVENT).where(*here)).scalar_one()
    c.execute(
        insert(_EVENT).values(
            oid=oid, case_number=number, event_id=event_id, time=now, place=place, action=action,
            by=storable(by), details=details,
        )
    )  # fmt: skip
    return event_id


# Decisions


def keep_here(c: Connection, oid: str, local: int, *, now: int) -> None:
    """A case that could not be made in the cloud stays here: what was wanted of it is done here."""
    waiting = queries.edits(c, states=(PENDING,), oid=oid, number=local)
    for edit in waiting:
        if edit.what == "create":
            continue
        try:
            found = change_here(c, oid, local, edit.what, edit.wanted, by=str(edit.by), now=now)
        except NotPossible as error:
            settle(c, edit.id, REFUSED, now=now, reason=str(error))
        else:
            settle(c, edit.id, DONE, now=now, found=found)


def send_after_all(c: Connection, edit_id: int, seen: Mapping[str, Any]) -> bool:
    """Send an edit after all, over what the case has now; False when it is no longer undecided."""
    won = c.execute(
        update(_EDIT)
        .where(_EDIT.c.id == edit_id, _EDIT.c.state.in_((CONFLICT, REFUSED)))
        .values(state=PENDING, seen=dict(seen), found={}, reason="", holder="", finished_at=None)
    ).rowcount
    return bool(won)


def drop(c: Connection, edit_id: int, state: int, *, reason: str, now: int, only: int | None = None) -> bool:
    """Give an undecided edit up; False when somebody else decided it.

    Args:
        only: only when it is in this state.
    """
    states = (CONFLICT, REFUSED, PENDING) if only is None else (only,)
    won = c.execute(
        update(_EDIT)
        .where(_EDIT.c.id == edit_id, _EDIT.c.state.in_(states))
        .values(state=state, reason=storable(reason), finished_at=now, holder="")
    ).rowcount
    return bool(won)
