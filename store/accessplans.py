"""What is to change about access: put aside by an operator, drafted into a plan, and how far the plan came.

A plan is drafted from changes and from what the store knows: each step keeps what was there before. What is
shown is what is applied, never worked out anew; `stale` tells which steps the store sees otherwise by now.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, case, delete, func, insert, select, update

from store import models
from store.accesschanges import INVERSE, NEW, AccessChange, ordered
from store.bodies import storable
from store.configuration import canonical
from store.text import Untrusted, safe_text
from store.typednames import is_named

_PLAN: Table = models.AccessPlan.__table__  # type: ignore[attr-defined]
_STEP: Table = models.AccessStep.__table__  # type: ignore[attr-defined]
_STAGED: Table = models.StagedChange.__table__  # type: ignore[attr-defined]
_DIRECT: Table = models.DirectPermission.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_MEMBER: Table = models.GroupMember.__table__  # type: ignore[attr-defined]
_HELD: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_NODE: Table = models.Node.__table__  # type: ignore[attr-defined]

HOUR = 3_600_000
GOOD_FOR = HOUR
"""Milliseconds after which a plan is too old to be applied."""

STATES = ("draft", "applying", "applied", "partly", "failed", "dropped")
DRAFT, APPLYING, APPLIED, PARTLY, FAILED, DROPPED = range(len(STATES))

OUTCOMES = (
    "waiting", "sending", "done", "already", "conflict", "denied", "gone", "failed", "held back", "unknown",
    "expired",
)  # fmt: skip
WAITING, SENDING, DONE, ALREADY, CONFLICT, DENIED, GONE, FAILED_STEP, HELD_BACK, UNKNOWN, EXPIRED = range(
    len(OUTCOMES)
)
"""waiting: not sent. sending: written down, and perhaps sent. done: made by the plan. already: it was so.
conflict: not as the plan saw it, and left alone. denied: the credential may not. gone: the organization, the
group or the person is not there. held back: not sent, for what it would have followed failed. unknown: nobody
can tell. expired: the plan was too old when it was carried on."""
GOOD = (DONE, ALREADY)

_PART = 500


class PlanError(Exception):
    """A plan cannot be; the text is the sentence for the operator."""


class NothingToDo(PlanError):
    """Everything that is asked for is so already, or nothing is."""


class Contradiction(PlanError):
    """The changes cannot be made together."""


class UnknownThing(PlanError):
    """The store knows no such group, organization, key or plan."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a plan."""

    seq: int
    change: AccessChange
    before: Mapping[str, Any]
    """What the plan saw: see `before_of`."""
    outcome: str = "waiting"
    """Of OUTCOMES."""
    error: str = ""
    made: str = ""
    """Of `create_group` the gid that it got."""
    intent: int | None = None
    """Number of the journal's entry from before it was sent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, as it is shown and applied."""

    id: int
    title: str
    source: str
    state: str
    """Of STATES."""
    by: str
    created_at: int
    expires_at: int
    """Milliseconds, UTC."""
    hash: str
    steps: tuple[Step, ...]
    organizations: tuple[str, ...]
    """The oids that it touches, sorted; of a change of a group all that the group holds."""
    protected: tuple[tuple[str, Untrusted], ...]
    """(oid, name) of those of them that are protected now."""
    approved_by: str = ""
    approved_at: int | None = None
    finished_at: int | None = None
    holder: str = ""
    """The process that applies it."""

    @property
    def phrase(self) -> str:
        """What has to be typed before it is applied; "" for nothing."""
        return phrase(self.protected)

    @property
    def or_id(self) -> str:
        """What may be typed instead, behind the phrase; "" for nothing."""
        return or_id(self.protected)

    @property
    def counts(self) -> dict[str, int]:
        """How many steps came to what; only what occurs."""
        found: dict[str, int] = {}
        for step in self.steps:
            found[step.outcome] = found.get(step.outcome, 0) + 1
        return {name: found[name] for name in OUTCOMES if name in found}


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan in a list."""

    id: int
    title: str
    source: str
    state: str
    by: str
    created_at: int
    expires_at: int
    finished_at: int | None
    steps: int
    good: int
    """Steps that are as they were wanted."""
    organizations: int


def phrase(protected: Sequence[tuple[str, str]]) -> str:
    """What has to be typed for protected organizations: the name of one, or how many they are."""
    if not protected:
        return ""
    if len(protected) == 1:
        return safe_text(protected[0][1]).strip() or protected[0][0]
    return f"{len(protected)} protected organizations"


def or_id(protected: Sequence[tuple[str, str]]) -> str:
    """What may be typed instead, behind the phrase: ` or its id 7e41..`; "" where the phrase is no name."""
    return f" or its id {protected[0][0]}" if len(protected) == 1 else ""


def confirmed(protected: Sequence[tuple[str, str]], typed: str) -> bool:
    """Whether what was typed is what has to be; of one organization its oid does too."""
    if not protected:
        return True
    if len(protected) == 1:
        oid, name = protected[0]
        return is_named(typed, name, oid)
    return typed.strip() == phrase(protected)


# Put aside


def stage(c: Connection, operator: str, changes: Iterable[AccessChange], *, now: int = 0) -> int:
    """Put changes aside for an operator's next plan; how many are new.

    What takes back something that is put aside takes its place.
    """
    new = 0
    for change in changes:
        inverse = change.inverse()
        if inverse is not None:
            _unstage(c, operator, inverse)
        there = c.execute(select(_STAGED.c.id).where(*_is(operator, change))).first()
        if there is None:
            c.execute(insert(_STAGED).values(operator=operator, at=now, **_columns(change)))
            new += 1
    return new


def staged(c: Connection, operator: str) -> list[AccessChange]:
    """What an operator has put aside, in the order in which a plan makes it."""
    rows = c.execute(select(_STAGED).where(_STAGED.c.operator == operator))
    return ordered(_change(row) for row in rows)


def unstage(c: Connection, operator: str, changes: Iterable[AccessChange] | None = None) -> int:
    """Forget changes that were put aside, all of them when None; how many."""
    if changes is None:
        return c.execute(delete(_STAGED).where(_STAGED.c.operator == operator)).rowcount
    return sum(_unstage(c, operator, change) for change in changes)


def _unstage(c: Connection, operator: str, change: AccessChange) -> int:
    return c.execute(delete(_STAGED).where(*_is(operator, change))).rowcount


def _is(operator: str, change: AccessChange) -> list[Any]:
    return [
        _STAGED.c.operator == operator,
        *(_STAGED.c[name] == value for name, value in _columns(change).items()),
    ]


def _columns(change: AccessChange) -> dict[str, str]:
    return {
        "kind": change.kind, "oid": change.oid, "gid": change.gid, "principal": storable(change.principal),
        "permission": storable(change.permission),
    }  # fmt: skip


def _change(row: Any) -> AccessChange:
    return AccessChange(row.kind, row.oid, row.gid, row.principal, row.permission)


# What is there


@dataclass(frozen=True, slots=True)
class _Whole:
    """A group as the store has it."""

    name: str
    permissions: tuple[str, ...]
    members: frozenset[str]
    owners: frozenset[str]
    organizations: frozenset[str]


class Facts:
    """What the store knows about everything that some changes speak of."""

    def __init__(self, c: Connection, changes: Collection[AccessChange]) -> None:
        """Read it.

        Raises:
            UnknownThing: a change is about a group, an organization or a key that the store does not know.
        """
        gids = {each.gid for each in changes if each.gid and not each.gid.startswith(NEW)}
        self.groups: dict[str, _Whole] = dict(self._groups(c, gids))
        self.named: dict[str, list[str]] = {}
        for each in changes:
            if each.kind == "create_group":
                name = each.gid.removeprefix(NEW)
                found = c.execute(select(_GROUP.c.gid).where(_GROUP.c.name == name)).scalars()
                self.named[each.gid] = sorted(found)
        wanted: dict[str, set[str]] = {}
        for each in changes:
            if each.oid and each.principal and each.kind != "delete_key":
                wanted.setdefault(each.oid, set()).add(each.principal)
        self.direct: dict[tuple[str, str], tuple[str, ...]] = {}
        people = {email for emails in wanted.values() for email in emails}
        for oids in _parts(wanted):
            for row in c.execute(
                select(_DIRECT).where(
                    _DIRECT.c.oid.in_(oids), *([_DIRECT.c.email.in_(people)] if len(people) <= _PART else [])
                )
            ):
                if row.email in wanted[row.oid]:
                    self.direct[row.oid, row.email] = tuple(row.permissions)
        self.keys: dict[tuple[str, str], Any] = {}
        for oids in _parts({each.oid for each in changes if each.kind == "delete_key"}):
            for row in c.execute(select(_KEY).where(_KEY.c.oid.in_(oids))):
                self.keys[row.oid, row.key_hash] = row
        self.unread = self._never_read(c, changes)
        """(subject of sync, oid) of what was never read: what the store does not hold there may be there."""
        self._check(c, changes, gids)

    def _check(self, c: Connection, changes: Collection[AccessChange], gids: set[str]) -> None:
        for gid in sorted(gids - self.groups.keys()):
            raise UnknownThing(f"The store knows no group {safe_text(gid, 80)}; nothing was planned.")
        oids = {each.oid for each in changes if each.oid}
        known: set[str] = set()
        for part in _parts(oids):
            known.update(
                c.execute(select(_ORGANIZATION.c.oid).where(_ORGANIZATION.c.oid.in_(part))).scalars()
            )
        for oid in sorted(oids - known):
            raise UnknownThing(f"The store knows no organization {safe_text(oid, 80)}; nothing was planned.")

    @staticmethod
    def _never_read(c: Connection, changes: Collection[AccessChange]) -> set[tuple[str, str]]:
        wanted = {(_subject(each), each.oid) for each in changes if each.oid and not each.gid}
        for part in _parts({oid for _, oid in wanted}):
            wanted -= {
                (row.subject, row.oid)
                for row in c.execute(
                    select(_STATE.c.subject, _STATE.c.oid).where(
                        _STATE.c.oid.in_(part), _STATE.c.checked_at.is_not(None)
                    )
                )
            }
        return wanted

    def known(self, change: AccessChange) -> bool:
        """Whether what the store says of a change was read at all."""
        return bool(change.gid) or (_subject(change), change.oid) not in self.unread

    @staticmethod
    def _groups(c: Connection, gids: set[str]) -> Iterator[tuple[str, _Whole]]:
        for part in _parts(gids):
            members: dict[str, set[str]] = {}
            owners: dict[str, set[str]] = {}
            held: dict[str, set[str]] = {}
            for row in c.execute(select(_MEMBER).where(_MEMBER.c.gid.in_(part))):
                (owners if row.owner else members).setdefault(row.gid, set()).add(row.email)
            for row in c.execute(select(_HELD).where(_HELD.c.gid.in_(part))):
                held.setdefault(row.gid, set()).add(row.oid)
            for row in c.execute(select(_GROUP).where(_GROUP.c.gid.in_(part))):
                yield (
                    row.gid,
                    _Whole(
                        row.name,
                        tuple(sorted(row.permissions)),
                        frozenset(members.get(row.gid, ())),
                        frozenset(owners.get(row.gid, ())),
                        frozenset(held.get(row.gid, ())),
                    ),
                )

    def before(self, change: AccessChange) -> dict[str, Any]:
        """What of a change is there now, as JSON data.

        Returns:
            By kind. grant, revoke: `{user, held}`: whether the person is in the organization at all, and has
            it. add_user: `{user}`. remove_user: `{permissions}`, null for who is not there. A member, an
            owner, an organization of a group: `{held}`. A permission of a group: `{permissions}`, the whole
            set. create_group: `{named}`, the gids of groups that are called so. delete_group: `{name,
            permissions, members, owners, organizations}`. delete_key: `{held, name, permissions, by,
            allowed_ip_range}`.
        """
        group = self.groups.get(change.gid, _NOTHING)
        direct = self.direct.get((change.oid, change.principal))
        match change.kind:
            case "grant" | "revoke":
                return {"user": direct is not None, "held": change.permission in (direct or ())}
            case "add_user":
                return {"user": direct is not None}
            case "remove_user":
                return {"permissions": None if direct is None else sorted(direct)}
            case "add_member" | "remove_member":
                return {"held": change.principal in group.members}
            case "add_owner" | "remove_owner":
                return {"held": change.principal in group.owners}
            case "add_org" | "remove_org":
                return {"held": change.oid in group.organizations}
            case "add_group_permission" | "remove_group_permission":
                return {"permissions": list(group.permissions)}
            case "create_group":
                return {"named": self.named.get(change.gid, [])}
            case "delete_group":
                return {
                    "name": group.name,
                    "permissions": list(group.permissions),
                    "members": sorted(group.members),
                    "owners": sorted(group.owners),
                    "organizations": sorted(group.organizations),
                }
            case "delete_key":
                key = self.keys.get((change.oid, change.principal))
                if key is None:
                    return {"held": False}
                return {
                    "held": True,
                    "name": key.name,
                    "permissions": sorted(key.permissions),
                    "by": key.created_by,
                    "allowed_ip_range": key.allowed_ip_range,
                }


def _subject(change: AccessChange) -> str:
    return "keys" if change.kind == "delete_key" else "access"


_NOTHING = _Whole("", (), frozenset(), frozenset(), frozenset())


def holds(change: AccessChange, before: Mapping[str, Any]) -> bool:
    """Whether what a change wants is so already, given what `Facts.before` says."""
    match change.kind:
        case "grant" | "add_member" | "add_owner" | "add_org":
            return bool(before["held"])
        case "revoke" | "remove_member" | "remove_owner" | "remove_org" | "delete_key":
            return not before["held"]
        case "add_user":
            return bool(before["user"])
        case "remove_user":
            return before["permissions"] is None
        case "add_group_permission":
            return change.permission in before["permissions"]
        case "remove_group_permission":
            return change.permission not in before["permissions"]
        case "create_group" | "delete_group":
            # A group may have another's name; one that is not there is not known.
            return False


def _parts(values: Iterable[str]) -> Iterator[list[str]]:
    listed = sorted(values)
    for at in range(0, len(listed), _PART):
        yield listed[at : at + _PART]


# Plans


def preview(c: Connection, changes: Iterable[AccessChange]) -> tuple[Step, ...]:
    """The steps that a plan of these changes would have; none when everything is so already.

    Of an organization whose users and keys were never read every change is a step.

    Raises:
        Contradiction: the changes cannot be made together.
        UnknownThing: one is about what the store does not know.
    """
    wanted = _consistent(ordered(changes))
    facts = Facts(c, wanted)
    missing = {
        AccessChange("add_user", oid=each.oid, principal=each.principal)
        for each in wanted
        if each.kind == "grant" and not facts.before(each)["user"]
    }
    wanted = ordered([*wanted, *missing])
    steps: list[Step] = []
    for change in wanted:
        before = facts.before(change)
        # Of what was never read nobody knows whether it is so already: that is seen when it is made.
        if not facts.known(change) or not holds(change, before):
            steps.append(Step(len(steps) + 1, change, before))
    return tuple(steps)


def draft(
    c: Connection,
    changes: Iterable[AccessChange],
    *,
    title: str,
    by: str,
    now: int,
    source: str = "",
    good_for: int = GOOD_FOR,
) -> int:
    """Write a plan down; its number. What holds already is left out.

    Args:
        by: the operator.
        now: milliseconds, UTC.
        source: where the changes come from, such as `staged` or `undo:12`.
        good_for: milliseconds until it is too old to be applied.

    Raises:
        NothingToDo: nothing is left.
        Contradiction: the changes cannot be made together.
        UnknownThing: one is about what the store does not know.
    """
    steps = preview(c, changes)
    if not steps:
        raise NothingToDo("Everything that is asked for is so already; there is nothing to plan.")
    (plan_id,) = c.execute(
        insert(_PLAN)
        .values(
            title=storable(title), source=storable(source), state=DRAFT, hash=hash_of(steps),
            organizations=sorted(touched(c, [step.change for step in steps])), by=storable(by),
            created_at=now, expires_at=now + good_for, approved_by="", holder="",
        )
        .returning(_PLAN.c.id)
    ).one()  # fmt: skip
    c.execute(
        insert(_STEP),
        [
            {
                "plan_id": plan_id, "seq": step.seq, **_columns(step.change), "before": dict(step.before),
                "outcome": WAITING, "error": "", "made": "",
            }
            for step in steps
        ],
    )  # fmt: skip
    return int(plan_id)


def _consistent(changes: list[AccessChange]) -> list[AccessChange]:
    """The changes without those that others of them include.

    Raises:
        Contradiction: some of them cannot be made together.
    """
    there = set(changes)
    made = {each.gid for each in changes if each.kind == "create_group"}
    deleted = {each.gid for each in changes if each.kind == "delete_group"}
    removed = {(each.oid, each.principal) for each in changes if each.kind == "remove_user"}
    left = []
    for each in changes:
        inverse = each.inverse()
        if inverse is not None and inverse in there:
            raise Contradiction(
                f"`{each.kind}` and `{INVERSE[each.kind]}` of the same thing are both asked for; "
                "leave one out."
            )
        if each.gid.startswith(NEW) and each.gid not in made:
            name = safe_text(each.gid.removeprefix(NEW), 80)
            raise Contradiction(f"A change is about the new group {name}, which no change makes.")
        if each.gid in deleted and each.kind != "delete_group":
            if each.gives:
                raise Contradiction("A group is to be deleted, and to be given something; leave one out.")
            continue
        if (each.oid, each.principal) in removed:
            if each.kind in ("grant", "add_user"):
                raise Contradiction(
                    f"{safe_text(each.principal, 80)} is to be removed from an organization, and to be given "
                    "something there; leave one out."
                )
            if each.kind == "revoke":
                continue
        left.append(each)
    return left


def hash_of(steps: Iterable[Step]) -> str:
    """SHA-256 over changes and what was there before, as canonical JSON."""
    listed = [[step.seq, _columns(step.change), dict(step.before)] for step in steps]
    return hashlib.sha256(canonical(listed)).hexdigest()


def touched(c: Connection, changes: Collection[AccessChange]) -> set[str]:
    """The oids of the organizations that changes touch: of a change of a group all that it holds."""
    found = {each.oid for each in changes if each.oid}
    for part in _parts({each.gid for each in changes if each.gid}):
        found.update(c.execute(select(_HELD.c.oid).where(_HELD.c.gid.in_(part))).scalars())
    return found


def protected(c: Connection, oids: Collection[str]) -> tuple[tuple[str, Untrusted], ...]:
    """(oid, name) of those of some organizations that are marked as protected, or are below what is."""
    if not oids:
        return ()
    nodes = c.execute(select(_NODE.c.first, _NODE.c.last, _NODE.c.oid, _NODE.c.marks)).all()
    ranges = [(node.first, node.last) for node in nodes if "protected" in (node.marks or ())]
    wanted = set(oids)
    marked = {
        node.oid
        for node in nodes
        if node.oid in wanted and any(first <= node.first and node.last <= last for first, last in ranges)
    }
    names: dict[str, str] = {}
    for part in _parts(marked):
        rows = c.execute(
            select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name).where(_ORGANIZATION.c.oid.in_(part))
        )
        names.update({row.oid: row.name for row in rows})
    return tuple((oid, Untrusted(names.get(oid, oid))) for oid in sorted(marked))


def load(c: Connection, plan_id: int) -> Plan:
    """A plan as it is now.

    Raises:
        UnknownThing: there is none of this number.
    """
    row = c.execute(select(_PLAN).where(_PLAN.c.id == plan_id)).one_or_none()
    if row is None:
        raise UnknownThing(f"There is no plan {plan_id}; `access plan --list` names them.")
    steps = tuple(
        Step(each.seq, _change(each), each.before, OUTCOMES[each.outcome], each.error, each.made, each.intent)
        for each in c.execute(select(_STEP).where(_STEP.c.plan_id == plan_id).order_by(_STEP.c.seq))
    )
    return Plan(
        id=row.id,
        title=row.title,
        source=row.source,
        state=STATES[row.state],
        by=row.by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        hash=row.hash,
        steps=steps,
        organizations=tuple(row.organizations),
        protected=protected(c, row.organizations),
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        finished_at=row.finished_at,
        holder=row.holder,
    )


def plans(c: Connection, *, limit: int = 50, before: int | None = None) -> list[PlanRow]:
    """The latest plans, the last first.

    Args:
        before: only those with a lower number: the last of the page before.
    """
    good = func.sum(case((_STEP.c.outcome.in_(GOOD), 1), else_=0))
    chosen = select(_PLAN).order_by(_PLAN.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(_PLAN.c.id < before)
    rows = c.execute(chosen).all()
    counts = {
        row[0]: (int(row[1]), int(row[2] or 0))
        for row in c.execute(
            select(_STEP.c.plan_id, func.count(), good)
            .where(_STEP.c.plan_id.in_([row.id for row in rows]))
            .group_by(_STEP.c.plan_id)
        )
    }
    return [
        PlanRow(
            row.id, row.title, row.source, STATES[row.state], row.by, row.created_at, row.expires_at,
            row.finished_at, *counts.get(row.id, (0, 0)), len(row.organizations),
        )
        for row in rows
    ]  # fmt: skip


def drop(c: Connection, plan_id: int, *, now: int) -> bool:
    """Put a draft away; False when it is no draft any more."""
    return bool(
        c.execute(
            update(_PLAN)
            .where(_PLAN.c.id == plan_id, _PLAN.c.state == DRAFT)
            .values(state=DROPPED, finished_at=now)
        ).rowcount
    )


def stale(c: Connection, plan: Plan) -> tuple[Step, ...]:
    """The steps of which the store says otherwise than when they were drafted; `before` is as it is now."""
    changes = [step.change for step in plan.steps]
    try:
        facts = Facts(c, changes)
    except UnknownThing:
        return plan.steps
    now = [replace(step, before=facts.before(step.change)) for step in plan.steps]
    return tuple(fresh for fresh, step in zip(now, plan.steps, strict=True) if fresh.before != step.before)


def undoing(c: Connection, plan_id: int) -> list[AccessChange]:
    """What takes back what a plan did, as far as it did it.

    A group that it deleted is made anew, with another gid; a key that it deleted cannot come back. Somebody
    whom it added to an organization leaves it again, unless he has been given something since. A group that
    it made is deleted, unless others were put into it since: then it stays with what it gives, and those
    leave whom the plan put there.

    Raises:
        UnknownThing: there is no such plan.
        NothingToDo: it did nothing that can be taken back.
    """
    plan = load(c, plan_id)
    done = [step for step in plan.steps if step.outcome == OUTCOMES[DONE]]
    made = {step.change.gid: step.made for step in plan.steps if step.made}
    undone = {
        (step.change.oid, step.change.principal, step.change.permission)
        for step in done
        if step.change.kind == "grant"
    }
    changes: list[AccessChange] = []
    did = [replace(step.change, gid=made.get(step.change.gid, step.change.gid)) for step in done]
    kept = _used_since(c, set(made.values()), did)
    for step, change in zip(done, did, strict=True):
        match change.kind:
            case "create_group" | "add_org" | "add_group_permission" if change.gid in kept:
                continue
            case "remove_user":
                changes.append(replace(change, kind="add_user"))
                changes += [
                    replace(change, kind="grant", permission=name)
                    for name in step.before["permissions"] or ()
                ]
            case "delete_group":
                changes += _made_anew(step.before)
            case "add_user":
                granted = Facts(c, [change]).direct.get((change.oid, change.principal), ())
                if all((change.oid, change.principal, name) in undone for name in granted):
                    changes.append(replace(change, kind="remove_user"))
            case _:
                inverse = change.inverse()
                if inverse is not None:
                    changes.append(inverse)
    if not changes:
        raise NothingToDo(f"Plan {plan_id} did nothing that can be taken back.")
    return _consistent(ordered(changes))


def _used_since(c: Connection, gids: set[str], did: Iterable[AccessChange]) -> set[str]:
    """The groups in which is a member or an organization that none of some changes put there."""
    put = {(each.gid, (each.principal or each.oid).casefold()) for each in did}
    return {
        gid
        for gid, group in Facts._groups(c, gids)
        if any((gid, each.casefold()) not in put for each in group.members | group.organizations)
    }


def _made_anew(before: Mapping[str, Any]) -> Iterator[AccessChange]:
    gid = NEW + str(before["name"])
    yield AccessChange("create_group", gid=gid)
    for name in before["permissions"]:
        yield AccessChange("add_group_permission", gid=gid, permission=name)
    for oid in before["organizations"]:
        yield AccessChange("add_org", gid=gid, oid=oid)
    for email in before["members"]:
        yield AccessChange("add_member", gid=gid, principal=email)
    for email in before["owners"]:
        yield AccessChange("add_owner", gid=gid, principal=email)
