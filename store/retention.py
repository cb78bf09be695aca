"""How long an organization's data are kept here, and taking out what is older.

The tree's parameter `retention_days` says it, inherited like every parameter, so that a tier has one; without
one everything is kept. What is pruned: alerts that are decided, with their texts and decisions; audit entries
and events about access; closed cases; earlier states of the configuration and of access. What a group was is
kept as long as any organization that it holds or held wants it. What somebody still has to decide
(open alerts and cases) stays, whatever its age, and is counted. Figures of usage stay, for statements are
made from them, and the journal always does. An organization that carries the mark `hold` is left alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import JSON, Connection, Table, and_, bindparam, delete, func, select, text, update
from sqlmodel import SQLModel

from store import alertremoval, folds, journal, models, textindex
from store.database import Store
from store.forgetting import HOLD
from store.queries.scopes import ORGANIZATION, marked, oids_of
from store.text import Untrusted

PARAMETER: Final = "retention_days"
SHORTEST: Final = 1
LONGEST: Final = 36_500
"""Days."""
DAY: Final = 86_400_000

_TABLES: Final = SQLModel.metadata.tables
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_FORMER: Table = models.AccessFormer.__table__  # type: ignore[attr-defined]
_RANKS: Final = range(6)

Report = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Kept:
    """How long one organization's data are kept."""

    oid: str
    name: Untrusted
    days: int | None
    """None for good."""
    source: str
    """The id of the node that says so; "" when none does."""
    held: bool = False
    """It carries the mark `hold`."""
    problem: str = ""
    """What the tree says is no number of days, so nothing is pruned."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was taken out of one organization, or would be."""

    kept: Kept
    before: int
    """Milliseconds, UTC: what is older went."""
    rows: Mapping[str, int]
    """By table."""
    open_alerts: int
    """Older ones that nobody has decided: they stay."""
    open_cases: int


_ABOVE = (
    text(
        "WITH RECURSIVE up (oid, id, parent_id, parameters, depth) AS ("
        " SELECT oid, id, parent_id, parameters, depth FROM node WHERE oid IN :oids UNION ALL"
        " SELECT up.oid, node.id, node.parent_id, node.parameters, node.depth"
        " FROM up JOIN node ON node.id = up.parent_id)"
        " SELECT oid, id, parameters, depth FROM up"
    )
    .bindparams(bindparam("oids", expanding=True))
    .columns(parameters=JSON)
)


def kept(c: Connection, scope: str = "") -> list[Kept]:
    """How long the data of each organization below a node are kept, those that are gone among them."""
    within = oids_of(c, scope)
    query = select(ORGANIZATION.c.oid, ORGANIZATION.c.name).order_by(ORGANIZATION.c.name, ORGANIZATION.c.oid)
    rows = c.execute(query if within is None else query.where(ORGANIZATION.c.oid.in_(within))).all()
    names = {row.oid: row.name for row in rows}
    said: dict[str, tuple[int, str, Any]] = {}
    listed = list(names)
    for at in range(0, len(listed), 500):
        for row in c.execute(_ABOVE, {"oids": listed[at : at + 500]}):
            here = said.get(row.oid)
            if PARAMETER in (row.parameters or {}) and (here is None or here[0] < row.depth):
                said[row.oid] = (row.depth, row.id, row.parameters[PARAMETER])
    held = marked(c, HOLD, listed)
    return [_kept(oid, names[oid], said.get(oid), oid in held) for oid in listed]


def _kept(oid: str, name: str, said: tuple[int, str, Any] | None, held: bool) -> Kept:
    if said is None:
        return Kept(oid, Untrusted(name), None, "", held)
    _, node, value = said
    days = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(days, int) or isinstance(days, bool) or not SHORTEST <= days <= LONGEST:
        problem = (
            f"{PARAMETER} of the node {node} is no number of days from {SHORTEST} to {LONGEST:,}; nothing is "
            "pruned."
        )
        return Kept(oid, Untrusted(name), None, node, held, problem)
    return Kept(oid, Untrusted(name), days, node, held)


def due(c: Connection, one: Kept, *, now: int) -> Pruned:
    """What is older than it is to be; nothing is changed."""
    before = _before(one, now)
    if before is None:
        return Pruned(one, 0, {}, 0, 0)
    counts = {
        name: int(c.execute(select(func.count()).select_from(_TABLES[name]).where(condition)).scalar_one())
        for name, condition in _old(one.oid, before).items()
    }
    return Pruned(one, before, {name: n for name, n in counts.items() if n}, *_undecided(c, one.oid, before))


def prune(store: Store, one: Kept, *, now: int, actor: str, report: Report = lambda _: None) -> Pruned:
    """Take out what is older than it is to be, a few hundred rows at a time; what was cut off goes on.

    Args:
        now: milliseconds, UTC.
        actor: who ran the console.

    Raises:
        StoreError: the store cannot be written.
    """
    before = _before(one, now)
    if before is None:
        return Pruned(one, 0, {}, 0, 0)
    rows: dict[str, int] = {}

    def add(name: str, number: int) -> None:
        if number:
            rows[name] = rows.get(name, 0) + number

    left = True
    while left:  # what an upgrade or a changed fold key left: the index must hold what is taken out of it
        with store.writing() as c:
            left = textindex.rebuild_some(c) is not None or bool(folds.rebuild(c).rules)
    with store.reader.reading() as c:
        ids = _alerts(c, one.oid, before)
    for at in range(0, len(ids), alertremoval.TOGETHER):
        with store.writing() as c:
            some = ids[at : at + alertremoval.TOGETHER]
            actions = _actions(c, some)
            for name, number in alertremoval.remove(c, one.oid, _still(c, one.oid, some)).items():
                add(name, number)
            add("triage_action", _drop_actions(c, actions))
        report(f"{rows.get('detection', 0):,} alerts of {one.name}")
    with store.writing() as c:
        for name, condition in _old(one.oid, before).items():
            if name != "detection":
                add(name, _delete(c, name, condition, one.oid, before))
        open_alerts, open_cases = _undecided(c, one.oid, before)
        if rows:
            detail = {"days": one.days, "before": before, "rows": dict(sorted(rows.items()))}
            journal.append(c, actor, "store.prune", one.oid, str(one.name), detail, now=now)
    return Pruned(one, before, rows, open_alerts, open_cases)


def _before(one: Kept, now: int) -> int | None:
    return None if one.days is None or one.held else now - one.days * DAY


def _old(oid: str, before: int) -> dict[str, Any]:
    """The condition, by table, of what is older."""
    t = {name: table.c for name, table in _TABLES.items()}
    case = t["case_record"]
    ended = func.coalesce(case.closed_at, case.resolved_at, case.created_at)
    return {
        "detection": and_(_D.c.oid == oid, _D.c.status >= 2, _D.c.time < before),
        "audit_entry": and_(t["audit_entry"].oid == oid, t["audit_entry"].time < before),
        "access_event": and_(
            t["access_event"].oid == oid, t["access_event"].time < before, t["access_event"].source == "audit"
        ),
        "case_record": and_(case.oid == oid, case.status >= 2, ended < before),
        "configuration_record": and_(
            t["configuration_record"].oid == oid, t["configuration_record"].valid_to < before
        ),
        "access_former": and_(t["access_former"].oid == oid, t["access_former"].valid_to < before),
    }  # fmt: skip


def _undecided(c: Connection, oid: str, before: int) -> tuple[int, int]:
    case = _TABLES["case_record"]
    alerts = select(func.count()).select_from(_D).where(_D.c.oid == oid, _D.c.status < 2, _D.c.time < before)
    cases = select(func.count()).select_from(case)
    old = (case.c.oid == oid, case.c.status < 2, case.c.created_at < before)
    return int(c.execute(alerts).scalar_one()), int(c.execute(cases.where(*old)).scalar_one())


def _alerts(c: Connection, oid: str, before: int) -> list[int]:
    """The numbers of the alerts that go, those of a fold together: each is then counted again seldom."""
    found: list[tuple[int, int]] = []
    for rank in _RANKS:  # as the index has them
        query = select(_D.c.fold_id, _D.c.id).where(
            _D.c.oid == oid, text("detection.status >= 2"), _D.c.rank == rank, _D.c.time < before
        )
        found += [(row.fold_id, row.id) for row in c.execute(query)]
    return [number for _, number in sorted(found)]


def _still(c: Connection, oid: str, ids: Sequence[int]) -> list[int]:
    """Those that are decided still: somebody may have opened one again."""
    query = select(_D.c.id).where(_D.c.oid == oid, _D.c.id.in_(ids), _D.c.status >= 2)
    return list(c.execute(query).scalars())


def _actions(c: Connection, ids: Sequence[int]) -> list[int]:
    change = _TABLES["triage_change"]
    query = select(change.c.action_id).where(change.c.detection_id.in_(ids)).distinct()
    return list(c.execute(query).scalars())


def _drop_actions(c: Connection, actions: Sequence[int]) -> int:
    """Decisions about nothing that is left."""
    action, change = _TABLES["triage_action"], _TABLES["triage_change"]
    gone = 0
    for at in range(0, len(actions), 500):
        part = actions[at : at + 500]
        still = set(
            c.execute(select(change.c.action_id).where(change.c.action_id.in_(part)).distinct()).scalars()
        )
        done = [each for each in part if each not in still]
        here = (action.c.id.in_(done), action.c.finished_at.is_not(None))
        gone += c.execute(delete(action).where(*here)).rowcount
    return gone


def _delete(c: Connection, name: str, condition: Any, oid: str, before: int) -> int:
    table = _TABLES[name]
    if name == "case_record":
        numbers = list(c.execute(select(table.c.case_number).where(condition)).scalars())
        for part in ("case_event", "case_item", "case_detection", "case_reading"):
            rows = _TABLES[part]
            for at in range(0, len(numbers), 500):
                here = (rows.c.oid == oid, rows.c.case_number.in_(numbers[at : at + 500]))
                c.execute(delete(rows).where(*here))
    hashes: list[str] = []
    if name == "configuration_record":
        hashes = sorted(set(c.execute(select(table.c.hash).where(condition)).scalars()))
    gone = c.execute(delete(table).where(condition)).rowcount
    if name == "access_former" and gone:
        _known_since(c, [oid], ("access", "keys"), before)
    body = _TABLES["configuration_body"]
    for at in range(0, len(hashes), 500):
        some = hashes[at : at + 500]
        used = set(c.execute(select(table.c.hash).where(table.c.hash.in_(some)).distinct()).scalars())
        c.execute(delete(body).where(body.c.hash.in_([each for each in some if each not in used])))
    return int(gone)


# What groups were


def due_of_groups(c: Connection, *, now: int) -> int:
    """How many earlier states of groups no organization keeps any more; nothing is changed."""
    return sum(
        int(c.execute(select(func.count()).select_from(_FORMER).where(_of_group(gid, before))).scalar_one())
        for gid, (before, _) in _horizons(c, now).items()
    )


def prune_groups(store: Store, *, now: int, actor: str) -> int:
    """Take out what groups were before the time that every organization keeps which they hold or held.

    Raises:
        StoreError: the store cannot be written.
    """
    gone = 0
    with store.writing() as c:
        for gid, (before, oids) in _horizons(c, now).items():
            number = c.execute(delete(_FORMER).where(_of_group(gid, before))).rowcount
            if number:
                _known_since(c, oids, ("access",), before)
            gone += number
        if gone:
            journal.append(c, actor, "store.prune", "", "groups", {"rows": {_FORMER.name: gone}}, now=now)
    return gone


def _of_group(gid: str, before: int) -> Any:
    """Earlier states of a group; which organizations it held is of these."""
    return and_(
        _FORMER.c.gid == gid, _FORMER.c.kind.in_(("group", "member", "owner")), _FORMER.c.valid_to < before
    )


def _horizons(c: Connection, now: int) -> dict[str, tuple[int, list[str]]]:
    """gid -> (before when nobody keeps what it was, who it holds or held), of groups that were otherwise; one
    that holds nobody is kept as long as anything is."""
    begins = {each.oid: _before(each, now) for each in kept(c)}
    if all(each is None for each in begins.values()):
        return {}
    holds = _TABLES["group_organization"]
    was = c.execute(
        select(_FORMER.c.gid).where(_FORMER.c.kind.in_(("group", "member", "owner"))).distinct()
    ).scalars()
    found: dict[str, tuple[int, list[str]]] = {}
    for gid in sorted(was):
        held = select(_FORMER.c.oid).where(_FORMER.c.gid == gid, _FORMER.c.kind == "held")
        oids = {
            *c.execute(select(holds.c.oid).where(holds.c.gid == gid)).scalars(),
            *c.execute(held).scalars(),
        }
        times = [begins.get(oid) for oid in (oids or begins)]
        known = [time for time in times if time is not None]
        if known and len(known) == len(times):
            found[gid] = (min(known), sorted(oids))
    return found


def _known_since(c: Connection, oids: Sequence[str], subjects: Sequence[str], before: int) -> None:
    """Whoever asks for an earlier time is told that nothing is known of it, not that there was nothing."""
    state = _TABLES["sync_state"]
    for at in range(0, len(oids), 500):
        here = (
            state.c.oid.in_(oids[at : at + 500]),
            state.c.subject.in_(subjects),
            state.c.first_at < before,
        )
        c.execute(update(state).where(*here).values(first_at=before))
