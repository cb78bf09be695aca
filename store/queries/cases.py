"""Pages of cases, one case whole, and what is to be changed in them."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, String, Table, and_, cast, exists, func, literal, or_, select, text, tuple_
from sqlalchemy.sql.elements import ColumnElement

from store import models
from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES
from store.bodies import storable, unpack
from store.cases import CONFLICT, EDIT_STATES, PENDING, REFUSED, SENDING, CaseFilter, overlaid, reference
from store.queries.alerts import contains
from store.queries.scopes import NODE, ORGANIZATION, oids_of
from store.sla import Targets, targets_of
from store.text import Untrusted

CLOSED = STATUSES.index("closed")

Key = tuple[int, int, str, int]
"""(severity, created_at, oid, number): the order of the list, each descending."""

_C: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]
_READING: Table = models.CaseReading.__table__  # type: ignore[attr-defined]
_LINK: Table = models.CaseDetection.__table__  # type: ignore[attr-defined]
_EVENT: Table = models.CaseEvent.__table__  # type: ignore[attr-defined]
_ITEM: Table = models.CaseItem.__table__  # type: ignore[attr-defined]
_EDIT: Table = models.CaseEdit.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_CONFIGURED: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]

_COLUMNS = (
    _C.c.oid, _C.c.case_number, ORGANIZATION.c.name, _C.c.case_id, _C.c.status, _C.c.severity,
    _C.c.classification, _C.c.assignees, _C.c.tags, _C.c.summary, _C.c.conclusion, _C.c.detection_count,
    _C.c.created_at, _C.c.acknowledged_at, _C.c.resolved_at, _C.c.closed_at, _C.c.merged_into,
)  # fmt: skip
_KEYS = (_C.c.severity, _C.c.created_at, _C.c.oid, _C.c.case_number)
_OPEN = text("case_record.status < 2")
"""Spelled as the partial indexes spell it."""

UNDECIDED = (CONFLICT, REFUSED)
"""States of an edit that somebody has to look at."""


@dataclass(frozen=True, slots=True)
class EditRow:
    """One change that somebody wants of a case."""

    id: int
    oid: str
    number: int
    what: str
    wanted: dict[str, Any]
    seen: dict[str, Any]
    state: int
    """Index into `store.cases.EDIT_STATES`."""
    reason: Untrusted
    found: dict[str, Any]
    by: Untrusted
    at: int
    holder: str
    sent_at: int | None
    finished_at: int | None
    organization: Untrusted

    @property
    def state_word(self) -> str:
        """`pending`, `conflict`, ..."""
        return EDIT_STATES[self.state]


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One line of the list of cases."""

    oid: str
    number: int
    """Negative for a case that is only here."""
    organization: Untrusted
    case_id: Untrusted
    status: int
    severity: int
    classification: int
    assignees: tuple[Untrusted, ...]
    tags: tuple[Untrusted, ...]
    summary: Untrusted
    conclusion: Untrusted
    detections: int
    created_at: int
    acknowledged_at: int | None
    resolved_at: int | None
    closed_at: int | None
    merged_into: Untrusted
    pending: int = 0
    """Edits that wait or are under way."""
    conflicts: int = 0
    refused: int = 0
    creating: bool = False
    """It is to be made in the cloud, and is not there yet."""
    due_at: int | None = None
    """When the clock that runs for it breaches its target (ms); None when none runs."""
    about: Untrusted | None = None
    """Where nobody wrote a summary: the gravest of its alerts, and the host of that."""

    @property
    def key(self) -> Key:
        """Where it stands in the list."""
        return (self.severity, self.created_at, self.oid, self.number)

    @property
    def local(self) -> bool:
        """Whether it is only here, and will stay so."""
        return self.number < 0 and not self.creating

    @property
    def name(self) -> str:
        """`#12`, or `L3`."""
        return reference("", self.number)

    def fields(self) -> dict[str, Any]:
        """What an update may change, in the words of Cases."""
        return {
            "status": STATUSES[self.status],
            "severity": SEVERITIES[self.severity],
            "classification": CLASSIFICATIONS[self.classification],
            "assignees": list(map(str, self.assignees)),
            "summary": str(self.summary),
            "conclusion": str(self.conclusion),
            "tags": list(map(str, self.tags)),
        }


@dataclass(frozen=True, slots=True)
class CaseEventRow:
    """Something that happened to a case."""

    event_id: str
    time: int
    action: Untrusted
    by: Untrusted
    details: dict[str, Any]

    @property
    def is_note(self) -> bool:
        """Whether it is a note."""
        return self.action == "case_note_added"


@dataclass(frozen=True, slots=True)
class CaseLink:
    """An alert that a case holds."""

    detect_id: Untrusted
    cat: Untrusted
    hostname: Untrusted
    sid: Untrusted
    added_at: int | None
    alert_id: int | None
    """Its number in the store; None when the store has not got it."""
    severity: int | None
    status: int | None
    classification: int | None
    time: int | None


@dataclass(frozen=True, slots=True)
class CaseDetail:
    """One case, whole."""

    row: CaseRow
    """As the cloud has it, as far as it was read."""
    wanted: dict[str, Any]
    """Its fields as they will be once its edits are made."""
    path: Untrusted
    """Of the organization in the tree."""
    read_at: int | None
    """When its notes, entities and history were read; None when they never were."""
    older: bool
    """It is known to have changed since they were read."""
    links_read: bool
    """Which alerts it holds was read, as many as it has now."""
    events: list[CaseEventRow]
    """Oldest first."""
    links: list[CaseLink]
    entities: list[dict[str, Any]]
    telemetry: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]
    edits: list[EditRow]
    """Newest first; those that were made too."""

    @property
    def complete(self) -> bool:
        """Whether all that it holds and went through was read, and it is not known to have changed since."""
        return self.read_at is not None and not self.older and self.links_read

    @property
    def lacking(self) -> str:
        """What of it was not read, as a clause; "" when it is complete."""
        if self.read_at is None:
            return "its notes, entities and history were not read yet"
        if self.older:
            return "its notes, entities and history were not all read since the case changed"
        return "" if self.links_read else "not all of its alerts were read"

    @property
    def notes(self) -> list[CaseEventRow]:
        """Its notes, oldest first."""
        return [event for event in self.events if event.is_note]


@dataclass(frozen=True, slots=True)
class Figures:
    """What of the cases of a scope needs somebody."""

    open: int
    unassigned: int
    """New, with nobody on it."""
    mine: int
    pending: int
    """Edits that wait for the cloud."""
    conflicts: int
    refused: int

    @property
    def needing(self) -> int:
        """How many things wait for a decision of a person."""
        return self.conflicts + self.refused


# The list


def page(
    c: Connection,
    wanted: CaseFilter,
    *,
    after: Key | None = None,
    before: Key | None = None,
    starting: Key | None = None,
    limit: int = 50,
) -> list[CaseRow]:
    """At most `limit` cases, worst and newest first.

    Args:
        after: those behind this key; the first ones when no key is given.
        before: the last `limit` ones ahead of this key.
        starting: like `after`, this key included.
    """
    keys = tuple_(*_KEYS)
    bounds: list[ColumnElement[bool]] = []
    if after is not None:
        bounds.append(keys < tuple_(*map(literal, after)))
    if starting is not None:
        bounds.append(keys <= tuple_(*map(literal, starting)))
    if before is not None:
        bounds.append(keys > tuple_(*map(literal, before)))
    return _read(c, wanted, bounds, limit, backwards=before is not None and after is None is starting)


def last_page(c: Connection, wanted: CaseFilter, *, limit: int = 50) -> list[CaseRow]:
    """The last `limit` cases of the list."""
    return _read(c, wanted, [], limit, backwards=True)


def count(c: Connection, wanted: CaseFilter) -> int:
    """How many cases match."""
    found = c.execute(
        select(func.count())
        .select_from(_C.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _C.c.oid))
        .where(*_conditions(c, wanted))
    ).scalar_one()
    return int(found)


def figures(c: Connection, scope: str = "", *, operator: str = "") -> Figures:
    """What needs somebody. `operator`: whose cases are `mine`."""
    oids = oids_of(c, scope)
    within = [] if oids is None else [_C.c.oid.in_(oids)]
    mine = _holds(c, _C.c.assignees, operator) if operator else literal(False)
    opened = c.execute(
        select(
            func.count(),
            func.count().filter(_C.c.status == 0, cast(_C.c.assignees, String) == "[]"),
            func.count().filter(mine),
        ).where(_OPEN, *within)
    ).one()
    edited = [] if oids is None else [_EDIT.c.oid.in_(oids)]
    waiting = {
        row.state: row.many
        for row in c.execute(
            select(_EDIT.c.state, func.count().label("many"))
            .where(_EDIT.c.state.in_((PENDING, SENDING, CONFLICT, REFUSED)), *edited)
            .group_by(_EDIT.c.state)
        )
    }
    return Figures(
        open=int(opened[0]),
        unassigned=int(opened[1]),
        mine=int(opened[2]),
        pending=waiting.get(PENDING, 0) + waiting.get(SENDING, 0),
        conflicts=waiting.get(CONFLICT, 0),
        refused=waiting.get(REFUSED, 0),
    )


def _read(
    c: Connection, wanted: CaseFilter, bounds: list[ColumnElement[bool]], limit: int, *, backwards: bool
) -> list[CaseRow]:
    if limit < 1:
        return []
    order = [key.asc() if backwards else key.desc() for key in _KEYS]
    found = c.execute(
        select(*_COLUMNS)
        .select_from(_C.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _C.c.oid))
        .where(*_conditions(c, wanted), *bounds)
        .order_by(*order)
        .limit(limit)
    ).all()
    if backwards:
        found = found[::-1]
    return _rows(c, found)


def _conditions(c: Connection, wanted: CaseFilter) -> list[Any]:
    conditions: list[Any] = []
    statuses = set(wanted.statuses)
    if statuses <= {0, 1}:
        conditions.append(_OPEN)
    if statuses != set(range(len(STATUSES))) and statuses != {0, 1}:
        conditions.append(_C.c.status.in_(sorted(statuses)))
    if wanted.severity:
        conditions.append(_C.c.severity >= wanted.severity)
    if wanted.classification is not None:
        conditions.append(_C.c.classification == wanted.classification)
    oids = oids_of(c, wanted.scope)
    if oids is not None:
        conditions.append(_C.c.oid.in_(oids))
    if wanted.oid:
        conditions.append(_C.c.oid == wanted.oid)
    if wanted.organization:
        conditions.append(contains(c, ORGANIZATION.c.name, wanted.organization))
    if wanted.number is not None:
        conditions.append(_C.c.case_number == wanted.number)
    if wanted.assignee.lower() == "none":
        conditions.append(cast(_C.c.assignees, String) == "[]")
    elif wanted.assignee:
        conditions.append(_holds(c, _C.c.assignees, wanted.assignee, whole=False))
    if wanted.tag:
        conditions.append(_holds(c, _C.c.tags, wanted.tag, whole=False))
    if wanted.only == "local":
        conditions.append(_C.c.case_number < 0)
    elif wanted.only:
        states = {"pending": (PENDING, SENDING), "undecided": UNDECIDED}.get(wanted.only) or (
            EDIT_STATES.index(wanted.only),
        )
        conditions.append(
            exists().where(
                _EDIT.c.oid == _C.c.oid, _EDIT.c.case_number == _C.c.case_number, _EDIT.c.state.in_(states)
            )
        )
    for word in wanted.words:
        conditions.append(
            or_(
                contains(c, _C.c.summary, word),
                _holds(c, _C.c.tags, word, whole=False),
                contains(c, ORGANIZATION.c.name, word),
            )
        )
    return conditions


def _holds(c: Connection, column: Any, needle: str, *, whole: bool = True) -> ColumnElement[bool]:
    """Whether a list of texts holds one that is, or contains, a text; any case."""
    written = json.dumps(storable(needle))
    return contains(c, cast(column, String), written if whole else written[1:-1])


def _signs(
    c: Connection, cases: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[int, int, int, bool]]:
    """(pending, conflicts, refused, to be made) of each case that has any."""
    found: dict[tuple[str, int], tuple[int, int, int, bool]] = {}
    for at in range(0, len(cases), 200):
        part = cases[at : at + 200]
        rows = c.execute(
            select(_EDIT.c.oid, _EDIT.c.case_number, _EDIT.c.state, _EDIT.c.what).where(
                tuple_(_EDIT.c.oid, _EDIT.c.case_number).in_(part),
                _EDIT.c.state.in_((PENDING, SENDING, CONFLICT, REFUSED)),
            )
        )
        for oid, number, state, what in rows:
            pending, conflicts, refused, creating = found.get((oid, number), (0, 0, 0, False))
            found[oid, number] = (
                pending + (state in (PENDING, SENDING)),
                conflicts + (state == CONFLICT),
                refused + (state == REFUSED),
                creating or what == "create",
            )
    return found


def _rows(c: Connection, rows: Sequence[Any]) -> list[CaseRow]:
    signs = _signs(c, [(row[0], row[1]) for row in rows])
    targets = targets_of(c, sorted({row[0] for row in rows}))
    about = _about(c, [(row[0], row[1]) for row in rows if not row[9].strip()])
    return [_row(row, signs, targets[row[0]], about.get((row[0], row[1]), "")) for row in rows]


def _about(c: Connection, cases: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """What each of these cases is about, by its gravest alert; by its first category where none was read."""
    found: dict[tuple[str, int], str] = {}
    for at in range(0, len(cases), 200):
        part = cases[at : at + 200]
        rows = c.execute(
            select(_LINK.c.oid, _LINK.c.case_number, _LINK.c.cat, _LINK.c.hostname)
            .select_from(
                _LINK.outerjoin(_D, and_(_D.c.oid == _LINK.c.oid, _D.c.detect_id == _LINK.c.detect_id))
            )
            .where(tuple_(_LINK.c.oid, _LINK.c.case_number).in_(part))
            .order_by(
                func.coalesce(_D.c.severity, 0).desc(), func.coalesce(_D.c.time, 0).desc(), _LINK.c.detect_id
            )
        )
        for oid, number, cat, hostname in rows:
            found.setdefault((oid, number), f"{cat} {hostname}".strip())
        unread = [each for each in part if not found.get(each)]
        bodies = c.execute(
            select(_C.c.oid, _C.c.case_number, _C.c.body).where(
                tuple_(_C.c.oid, _C.c.case_number).in_(unread)
            )
        )
        for oid, number, packed in bodies:
            kinds = json.loads(unpack(packed)).get("detection_cats") if packed else None
            if isinstance(kinds, list) and kinds and isinstance(kinds[0], str):
                found[oid, number] = kinds[0]
    return found


def _row(
    row: Any, signs: dict[tuple[str, int], tuple[int, int, int, bool]], targets: Targets, about: str
) -> CaseRow:
    pending, conflicts, refused, creating = signs.get((row[0], row[1]), (0, 0, 0, False))
    return CaseRow(
        oid=row[0],
        number=row[1],
        organization=Untrusted(row[2] if row[2] is not None else row[0]),
        case_id=Untrusted(row[3]),
        status=row[4],
        severity=row[5],
        classification=row[6],
        assignees=tuple(map(Untrusted, row[7])),
        tags=tuple(map(Untrusted, row[8])),
        summary=Untrusted(row[9]),
        conclusion=Untrusted(row[10]),
        detections=row[11],
        created_at=row[12],
        acknowledged_at=row[13],
        resolved_at=row[14],
        closed_at=row[15],
        merged_into=Untrusted(row[16]),
        pending=pending,
        conflicts=conflicts,
        refused=refused,
        creating=creating,
        due_at=targets.due_at(row[5], row[4], row[12]),
        about=Untrusted(about) if about else None,
    )


# One case


def case(c: Connection, oid: str, number: int) -> CaseRow | None:
    """One case; None when it is not known."""
    return next(iter(cases_numbered(c, [(oid, number)])), None)


def cases_numbered(c: Connection, cases: Iterable[tuple[str, int]]) -> list[CaseRow]:
    """Those of the cases that are known."""
    wanted = list(dict.fromkeys(cases))
    found: list[CaseRow] = []
    for at in range(0, len(wanted), 200):
        part = wanted[at : at + 200]
        rows = c.execute(
            select(*_COLUMNS)
            .select_from(_C.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _C.c.oid))
            .where(tuple_(_C.c.oid, _C.c.case_number).in_(part))
            .order_by(_C.c.oid, _C.c.case_number)
        ).all()
        found += _rows(c, rows)
    return found


def detail(c: Connection, oid: str, number: int) -> CaseDetail | None:
    """One case with everything that is known of it; None when it is not known."""
    row = case(c, oid, number)
    if row is None:
        return None
    here = {"oid": oid, "case_number": number}

    def of(table: Table) -> ColumnElement[bool]:
        return and_(*(table.c[name] == value for name, value in here.items()))

    reading = c.execute(select(_READING).where(of(_READING))).one_or_none()
    events = [
        CaseEventRow(each.event_id, each.time, Untrusted(each.action), Untrusted(each.by), each.details)
        for each in c.execute(
            select(_EVENT).where(of(_EVENT)).order_by(_EVENT.c.time, _EVENT.c.place, _EVENT.c.event_id)
        )
    ]
    items: dict[str, list[dict[str, Any]]] = {}
    for each in c.execute(select(_ITEM).where(of(_ITEM)).order_by(_ITEM.c.kind, _ITEM.c.item_id)):
        items.setdefault(each.kind, []).append(each.details)
    changes = edits(c, oid=oid, number=number, newest=True, limit=200)
    path = c.execute(select(NODE.c.path).where(NODE.c.oid == oid).limit(1)).scalar_one_or_none()
    waiting = [(each.what, each.wanted) for each in reversed(changes) if each.state in (PENDING, SENDING)]
    return CaseDetail(
        row=row,
        wanted=overlaid(row.fields(), waiting),
        path=Untrusted(path or row.organization),
        read_at=reading.read_at if reading else None,
        older=bool(reading and reading.read_at is not None and reading.stale),
        # What is only here has no other side that could have more.
        links_read=bool(reading and reading.links >= 0 and (number < 0 or reading.links == row.detections)),
        events=events,
        links=links(c, oid, number),
        entities=items.get("entity", []),
        telemetry=items.get("telemetry", []),
        artifacts=items.get("artifact", []),
        edits=changes,
    )


def links(c: Connection, oid: str, number: int) -> list[CaseLink]:
    """The alerts that a case holds, as far as that was read, the gravest first."""
    found = c.execute(
        select(
            _LINK.c.detect_id, _LINK.c.cat, _LINK.c.hostname, _LINK.c.sid, _LINK.c.added_at, _D.c.id,
            _D.c.severity, _D.c.status, _D.c.classification, _D.c.time,
        )
        .select_from(
            _LINK.outerjoin(_D, and_(_D.c.oid == _LINK.c.oid, _D.c.detect_id == _LINK.c.detect_id))
        )
        .where(_LINK.c.oid == oid, _LINK.c.case_number == number)
    )  # fmt: skip
    rows = [
        CaseLink(
            Untrusted(row[0]), Untrusted(row[1]), Untrusted(row[2]), Untrusted(row[3]), row[4], row[5],
            row[6], row[7], row[8], row[9],
        )
        for row in found
    ]  # fmt: skip
    return sorted(rows, key=lambda each: (-(each.severity or 0), -(each.time or 0), each.detect_id))


def holding(c: Connection, oid: str, detect_ids: Collection[str]) -> dict[str, list[int]]:
    """The numbers of the cases that hold alerts of an organization: {detect_id: numbers}, as far as known."""
    found: dict[str, list[int]] = {}
    listed = sorted(detect_ids)
    for at in range(0, len(listed), 500):
        rows = c.execute(
            select(_LINK.c.detect_id, _LINK.c.case_number)
            .where(_LINK.c.oid == oid, _LINK.c.detect_id.in_(listed[at : at + 500]))
            .order_by(_LINK.c.case_number)
        )
        for detect_id, number in rows:
            found.setdefault(detect_id, []).append(number)
    return found


def find(c: Connection, number: int, *, oid: str = "", scope: str = "") -> list[CaseRow]:
    """The cases of this number, in every organization or in one."""
    wanted = CaseFilter(scope=scope, oid=oid, statuses=tuple(range(len(STATUSES))), number=number)
    return page(c, wanted, limit=20)


# What is to be changed


def edits(
    c: Connection,
    *,
    states: Collection[int] = (),
    oid: str = "",
    number: int | None = None,
    scope: str = "",
    ids: Collection[int] = (),
    newest: bool = False,
    limit: int = 1000,
) -> list[EditRow]:
    """Edits in the order in which they were wanted, or the newest first.

    Args:
        states: of `store.cases.EDIT_STATES`; all when none is given.
        ids: only these; all when none is given.
    """
    conditions: list[Any] = []
    if states:
        conditions.append(_EDIT.c.state.in_(sorted(states)))
    if oid:
        conditions.append(_EDIT.c.oid == oid)
    if number is not None:
        conditions.append(_EDIT.c.case_number == number)
    if ids:
        conditions.append(_EDIT.c.id.in_(sorted(ids)))
    oids = oids_of(c, scope)
    if oids is not None:
        conditions.append(_EDIT.c.oid.in_(oids))
    found = c.execute(
        select(_EDIT, ORGANIZATION.c.name)
        .select_from(_EDIT.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _EDIT.c.oid))
        .where(*conditions)
        .order_by(_EDIT.c.id.desc() if newest else _EDIT.c.id)
        .limit(limit)
    )
    return [
        EditRow(
            id=row.id,
            oid=row.oid,
            number=row.case_number,
            what=row.what,
            wanted=row.wanted,
            seen=row.seen,
            state=row.state,
            reason=Untrusted(row.reason),
            found=row.found,
            by=Untrusted(row.by),
            at=row.at,
            holder=row.holder,
            sent_at=row.sent_at,
            finished_at=row.finished_at,
            organization=Untrusted(row.name if row.name is not None else row.oid),
        )
        for row in found
    ]


def statuses(c: Connection, oid: str) -> dict[int, int]:
    """The cases of an organization by number, with their status."""
    rows = c.execute(select(_C.c.case_number, _C.c.status).where(_C.c.oid == oid))
    return {row.case_number: row.status for row in rows}


def customers(c: Connection) -> dict[str, str]:
    """The name of every organization, by oid: whom a text for one of them must not name."""
    return {row.oid: row.name for row in c.execute(select(ORGANIZATION.c.oid, ORGANIZATION.c.name))}


# What sync asks


def unfinished(c: Connection) -> dict[str, set[int]]:
    """The numbers of the cases of the cloud that are not closed, by oid."""
    found: dict[str, set[int]] = {}
    query = select(_C.c.oid, _C.c.case_number).where(_C.c.status < CLOSED, _C.c.case_number > 0)
    for each in c.execute(query):
        found.setdefault(each.oid, set()).add(each.case_number)
    return found


def row(c: Connection, oid: str, number: int) -> dict[str, Any]:
    """A case as it was listed last; {} when it is not known."""
    packed = c.execute(
        select(_C.c.body).where(_C.c.oid == oid, _C.c.case_number == number)
    ).scalar_one_or_none()
    if packed is None:
        return {}
    found: dict[str, Any] = json.loads(unpack(packed))
    return found


def subscribed(c: Connection, oids: Collection[str] | None = None) -> set[str]:
    """The oids of the organizations that have the extension of cases.

    Args:
        oids: only of these, which are few; None for all.
    """
    query = select(_CONFIGURED.c.oid).where(
        _CONFIGURED.c.section == "extension",
        _CONFIGURED.c.name == "ext-cases",
        _CONFIGURED.c.valid_to.is_(None),
    )
    if oids is not None:
        query = query.where(_CONFIGURED.c.oid.in_(oids))
    return set(c.execute(query).scalars())
