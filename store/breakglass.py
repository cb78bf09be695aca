"""Break-glass: a membership in a group for a while, with a reason and a ticket, that ends by itself.

What ends it is written down before it is given (`store.deadlines`), in one transaction: whatever stops a
console in the middle, the membership has its end.

Functions that write take a connection of `Store.writing()`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, func, insert, or_, select, update

from store import deadlines, models, preferences
from store.accesschanges import AccessChange
from store.accessplans import APPLYING, DRAFT, confirmed, or_id, phrase, protected
from store.accessplans import DONE as STEP_DONE
from store.bodies import storable
from store.deadlines import Deadline
from store.errors import StoreError
from store.journal import append
from store.permissions import is_privileged
from store.text import Untrusted, safe_text

KIND: Final = "break-glass"
"""Of its deadline."""

ASKED, GIVEN, ENDED, NEVER = range(4)
STATES: Final[tuple[str, ...]] = ("asked for", "given", "ended", "never given")
"""What `BreakGlass.state` holds."""

SHORTEST: Final = 60_000
LONGEST: Final = 24 * 3_600_000
"""Milliseconds that one may last, extensions included."""
LONGEST_REASON: Final = 1_000
LONGEST_TICKET: Final = 200

TOKENS_LIVE: Final = 3_600_000
"""Milliseconds for which a token from before the end still holds what the group gave: LimaCharlie's tokens
live for up to an hour (documentation, "API keys")."""

DECLARED: Final = "breakglass.groups"
"""The preference that lists the gids of the groups that are meant for it."""

_GLASS: Table = models.BreakGlass.__table__  # type: ignore[attr-defined]
_DEADLINE: Table = models.AccessDeadline.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_HELD: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_MEMBER: Table = models.GroupMember.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_PLAN: Table = models.AccessPlan.__table__  # type: ignore[attr-defined]
_STEP: Table = models.AccessStep.__table__  # type: ignore[attr-defined]
_AUDIT: Table = models.AuditEntry.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
SKEW = 5_000
"""Milliseconds by which the cloud's log, which has whole seconds, may be behind this machine's clock."""

_EVENT: Table = models.AccessEvent.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]


class GlassError(StoreError):
    """It cannot be; the text is the sentence for the operator."""


@dataclass(frozen=True)
class Glass:
    """A break-glass membership."""

    id: int
    deadline_id: int
    gid: str
    group: Untrusted
    principal: Untrusted
    reason: Untrusted
    ticket: Untrusted
    by: str
    state: int
    started_at: int
    """When it was written down, before anything was sent."""
    given_at: int | None
    due_at: int
    ended_at: int | None
    ended_by: str
    end_reason: str
    """`expired`, `early`, `already`, `never given`; "" as long as it goes on."""
    tries: int
    trouble: Untrusted
    """Why it could not be ended the last time; "" when that was not tried."""
    organizations: tuple[str, ...]
    """The oids that the group held when it was given."""
    privileged: tuple[str, ...]
    open: bool
    """Whether its end has still to come."""

    def overdue(self, now: int) -> bool:
        """Whether its time has passed, and it is still there."""
        return self.open and self.due_at <= now

    @property
    def title(self) -> str:
        """`kim@acme.example in Responders`: strangers' text."""
        return title_of(self.principal, self.group)


@dataclass(frozen=True)
class Effect:
    """What a membership would give."""

    gid: str
    group: Untrusted
    principal: str
    declared: bool
    """Whether the group is meant for this."""
    member: bool
    """Whether the person is in it already."""
    complete: bool
    """Whether all of the group is known; else only what its organizations tell."""
    organizations: tuple[tuple[str, Untrusted], ...]
    """(oid, name), by name."""
    permissions: tuple[str, ...]
    privileged: tuple[str, ...]
    protected: tuple[tuple[str, Untrusted], ...]

    @property
    def phrases(self) -> tuple[str, ...]:
        """What has to be typed: the name of a group that is not meant for it, and the phrase of protected
        organizations; nothing where neither is so."""
        named = () if self.declared else (safe_text(self.group).strip() or self.gid,)
        return tuple(each for each in (*named, phrase(self.protected)) if each)

    @property
    def or_ids(self) -> tuple[str, ...]:
        """What may be typed instead of each of the phrases, behind it; "" for nothing."""
        named = () if self.declared else (f" or its id {self.gid}",)
        return (*named, or_id(self.protected)) if self.protected else named

    def missing(self, typed: Collection[str]) -> tuple[str, ...]:
        """What of it was not typed."""
        words = {each.strip() for each in typed}
        left = []
        if not self.declared and not words & {
            self.gid,
            str(self.group).strip(),
            safe_text(self.group).strip(),
        }:
            left.append(safe_text(self.group).strip() or self.gid)
        if self.protected and not any(confirmed(self.protected, word) for word in words):
            left.append(phrase(self.protected))
        return tuple(left)

    def words(self, lasts: int) -> tuple[str, ...]:
        """What it gives, in sentences with safe text.

        Args:
            lasts: ms.
        """
        count = len(self.organizations)
        named = ", ".join(safe_text(name, 40) for _, name in self.organizations[:3])
        more = f" and {count - 3:,} more" if count > 3 else ""
        trio = ", ".join(self.privileged) or "none of apikey.ctrl, user.ctrl, billing.ctrl"
        found = [
            f"{safe_text(self.principal, 80)} in {safe_text(self.group, 60)} for {lasts_words(lasts)}.",
            f"{count:,} organization{'' if count == 1 else 's'}: {named}{more}."
            if count
            else "No organization.",
            f"{len(self.permissions):,} permissions; privileged: {trio}.",
        ]
        if not self.declared:
            found.append("The group is not meant for break-glass: its name is typed.")
        return tuple(found)


def lasts_words(lasts: int) -> str:
    """`2 h`, `1 h 30 min`, `45 min` of milliseconds."""
    minutes = lasts // 60_000
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else ""]
    return " ".join(each for each in parts if each)


def title_of(principal: str, group: str) -> str:
    """What a membership is called."""
    return f"{principal} in {group}"


def source_of(glass_id: int) -> str:
    """The `AccessPlan.source` of the plan that gives it."""
    return f"{KIND}:{glass_id}"


# Groups that are meant for it


def declared(connection: Connection) -> list[str]:
    """The gids of the groups that are meant for it."""
    found = preferences.get(connection, DECLARED, [])
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def declare(connection: Connection, gid: str, *, meant: bool, by: str, now: int) -> bool:
    """Say that a group is meant for it, or no longer; False when that was so already."""
    there = declared(connection)
    if (gid in there) == meant:
        return False
    left = sorted({*there, gid}) if meant else [each for each in there if each != gid]
    preferences.put(connection, DECLARED, left)
    action = "break-glass.allow" if meant else "break-glass.disallow"
    append(connection, by, action, target=_name(connection, gid), detail={"gid": gid}, now=now)
    return True


def _name(connection: Connection, gid: str) -> str:
    return connection.execute(select(_GROUP.c.name).where(_GROUP.c.gid == gid)).scalar_one_or_none() or gid


def find_group(connection: Connection, wanted: str) -> list[tuple[str, str]]:
    """(gid, name) of the groups that are called so, by gid or name."""
    rows = connection.execute(
        select(_GROUP.c.gid, _GROUP.c.name)
        .where(or_(_GROUP.c.gid == wanted, _GROUP.c.name == wanted))
        .order_by(_GROUP.c.name, _GROUP.c.gid)
    ).all()
    exact = [row for row in rows if row.gid == wanted]
    return [(row.gid, row.name) for row in exact or rows]


def groups(connection: Connection) -> list[tuple[str, Untrusted, int, bool]]:
    """(gid, name, organizations, declared) of all groups that are known whole, declared ones first."""
    meant = set(declared(connection))
    rows = connection.execute(
        select(_GROUP.c.gid, _GROUP.c.name, func.count(_HELD.c.oid))
        .select_from(_GROUP.outerjoin(_HELD, _HELD.c.gid == _GROUP.c.gid))
        .where(_GROUP.c.complete)
        .group_by(_GROUP.c.gid, _GROUP.c.name)
    )
    found = [(row[0], Untrusted(row[1]), int(row[2]), row[0] in meant) for row in rows]
    return sorted(found, key=lambda each: (not each[3], str(each[1]).casefold(), each[0]))


def effect(connection: Connection, gid: str, principal: str) -> Effect:
    """What it would give, as the store knows the group.

    Raises:
        GlassError: the store does not know the group.
    """
    row = connection.execute(select(_GROUP).where(_GROUP.c.gid == gid)).one_or_none()
    if row is None:
        raise GlassError(
            "The store does not know this group; `limegrove sync` reads it. Nothing was changed."
        )
    held = connection.execute(
        select(_HELD.c.oid, func.coalesce(_ORGANIZATION.c.name, _HELD.c.oid).label("name"))
        .select_from(_HELD.outerjoin(_ORGANIZATION, _ORGANIZATION.c.oid == _HELD.c.oid))
        .where(_HELD.c.gid == gid)
        .order_by("name", _HELD.c.oid)
    ).all()
    member = connection.execute(
        select(_MEMBER.c.email).where(
            _MEMBER.c.gid == gid, _MEMBER.c.email == principal, _MEMBER.c.owner.is_(False)
        )
    ).one_or_none()
    return Effect(
        gid=gid,
        group=Untrusted(row.name),
        principal=principal,
        declared=gid in declared(connection),
        member=member is not None,
        complete=row.complete,
        organizations=tuple((each.oid, Untrusted(each.name)) for each in held),
        permissions=tuple(row.permissions),
        privileged=tuple(each for each in row.permissions if is_privileged(each)),
        protected=protected(connection, [each.oid for each in held]),
    )


# Its life


def begin(
    connection: Connection,
    effect: Effect,
    *,
    reason: str,
    ticket: str,
    lasts: int,
    by: str,
    now: int,
) -> int:
    """Write it down with its end, before anything is sent; answers its id.

    Args:
        lasts: ms.

    Raises:
        GlassError: the same person has it already.
    """
    there = current(connection, effect.gid, effect.principal)
    if there is not None:
        raise GlassError(
            f"{safe_text(effect.principal, 80)} has it already: break-glass {there.id}. "
            "Extend that one, or end it first."
        )
    deadline = deadlines.put(
        connection,
        KIND,
        now + lasts,
        [AccessChange("remove_member", gid=effect.gid, principal=effect.principal)],
        title=f"break-glass of {title_of(effect.principal, effect.group)}",
        by=by,
        now=now,
    )
    gives = {
        "organizations": [oid for oid, _ in effect.organizations],
        "privileged": list(effect.privileged),
    }
    made = connection.execute(
        insert(_GLASS).values(
            deadline_id=deadline, gid=effect.gid, group_name=str(effect.group), principal=effect.principal,
            reason=storable(reason), ticket=storable(ticket), by=storable(by), started_at=now,
            asked_for=lasts, state=ASKED, given_at=None, ended_at=None, ended_by="", end_reason="",
            gives=gives,
        )
    )  # fmt: skip
    key = made.inserted_primary_key
    assert key is not None  # noqa: S101  (an insert of one row has one)
    append(
        connection,
        by,
        "break-glass.start",
        target=title_of(effect.principal, effect.group),
        detail={
            "id": int(key[0]), "gid": effect.gid, "principal": effect.principal, "reason": reason,
            "ticket": ticket, "due_at": now + lasts, **gives,
        },
        now=now,
    )  # fmt: skip
    return int(key[0])


def given(connection: Connection, glass_id: int, *, now: int) -> bool:
    """Note that it was given; False when it is over already."""
    changed = connection.execute(
        update(_GLASS)
        .where(_GLASS.c.id == glass_id, _GLASS.c.state == ASKED)
        .values(state=GIVEN, given_at=now)
    )
    return changed.rowcount == 1


def not_given(connection: Connection, glass: Glass, why: str, *, by: str, now: int) -> bool:
    """Note that it was certainly not given, so that nothing has to be ended; False when that is under way."""
    if not deadlines.call_off(connection, glass.deadline_id, by=by, now=now):
        return False
    connection.execute(
        update(_GLASS)
        .where(_GLASS.c.id == glass.id)
        .values(state=NEVER, ended_at=now, ended_by=storable(by), end_reason="never given")
    )
    detail = {"id": glass.id, "reason": why}
    append(connection, by, "break-glass.not_given", target=glass.title, detail=detail, now=now)
    return True


def extend(connection: Connection, glass: Glass, more: int, reason: str, *, by: str, now: int) -> int:
    """Let it last longer, counted from when it would end; answers until when.

    Raises:
        GlassError: it is over, or would last too long.
    """
    if not glass.open or glass.overdue(now) or glass.end_reason:
        raise GlassError(f"Break-glass {glass.id} is over, or ends just now; nothing was changed.")
    until = glass.due_at + more
    if until - glass.started_at > LONGEST:
        raise GlassError(
            f"It would end more than {LONGEST // 3_600_000} hours after its start, which is the most; "
            "nothing was changed."
        )
    if not deadlines.move(connection, glass.deadline_id, until):
        raise GlassError(f"Break-glass {glass.id} ends just now; nothing was changed.")
    detail = {"id": glass.id, "before": glass.due_at, "due_at": until, "reason": reason}
    append(connection, by, "break-glass.extend", target=glass.title, detail=detail, now=now)
    return until


def ask_end(connection: Connection, glass: Glass, *, by: str, now: int) -> None:
    """Make it due at once.

    Raises:
        GlassError: it is over.
    """
    if not glass.open:
        raise GlassError(f"Break-glass {glass.id} is over already; nothing was changed.")
    if glass.due_at > now:
        connection.execute(
            update(_GLASS).where(_GLASS.c.id == glass.id).values(end_reason="early", ended_by=storable(by))
        )
        detail = {"id": glass.id, "due_at": glass.due_at}
        append(connection, by, "break-glass.end_asked", target=glass.title, detail=detail, now=now)
    deadlines.move(connection, glass.deadline_id, min(glass.due_at, now))


# What `console.operations.deadlines` asks


def sources(connection: Connection, deadline: Deadline) -> list[str]:
    """The plans that give what this deadline takes away."""
    row = connection.execute(select(_GLASS.c.id).where(_GLASS.c.deadline_id == deadline.id)).one_or_none()
    return [] if row is None else [source_of(row.id)]


def void(connection: Connection, deadline: Deadline) -> bool:
    """Whether it was certainly not given by us: then whoever is in the group was put there by others."""
    row = connection.execute(
        select(_GLASS.c.id, _GLASS.c.state).where(_GLASS.c.deadline_id == deadline.id)
    ).one()
    if row.state != ASKED:
        return False
    return not sent(connection, row.id)


def sent(connection: Connection, glass_id: int) -> bool:
    """Whether its giving was made, or was written down as about to be sent."""
    found = connection.execute(
        select(_STEP.c.plan_id)
        .join_from(_STEP, _PLAN, _PLAN.c.id == _STEP.c.plan_id)
        .where(
            _PLAN.c.source == source_of(glass_id),
            or_(_STEP.c.intent.is_not(None), _STEP.c.outcome == STEP_DONE),
        )
    ).first()
    return found is not None


def deadline_made(connection: Connection, deadline: Deadline, outcome: str, *, by: str, now: int) -> None:
    """Close the membership with its deadline."""
    row = connection.execute(select(_GLASS).where(_GLASS.c.deadline_id == deadline.id)).one()
    if outcome == "already" and row.state == ASKED and not sent(connection, row.id):
        state, why = NEVER, "never given"
    else:
        state, why = ENDED, "already" if outcome == "already" else row.end_reason or "expired"
    connection.execute(
        update(_GLASS)
        .where(_GLASS.c.id == row.id)
        .values(
            state=state, ended_at=now, ended_by=row.ended_by or storable(by), end_reason=why,
            given_at=row.given_at or (row.started_at if state == ENDED else None),
        )
    )  # fmt: skip
    detail = {
        "id": row.id, "gid": row.gid, "principal": row.principal, "due_at": deadline.due_at, "outcome": why,
    }  # fmt: skip
    append(
        connection, by, "break-glass.end", target=title_of(row.principal, row.group_name), detail=detail,
        now=now,
    )  # fmt: skip


def expired_plans(connection: Connection, now: int) -> list[int]:
    """Plans that would give a membership whose time has passed: they must not go on."""
    rows = connection.execute(
        select(_PLAN.c.id, _PLAN.c.source).where(
            _PLAN.c.state.in_((DRAFT, APPLYING)), _PLAN.c.source.startswith(f"{KIND}:")
        )
    ).all()
    if not rows:
        return []
    live = {source_of(each.id) for each in listed(connection, only_open=True) if not each.overdue(now)}
    return [row.id for row in rows if row.source not in live]


# Reading


def get(connection: Connection, glass_id: int) -> Glass | None:
    """One of them."""
    return next(iter(_read(connection, _GLASS.c.id == glass_id)), None)


def current(connection: Connection, gid: str, principal: str) -> Glass | None:
    """The one that goes on, of a person in a group."""
    wanted = and_(_GLASS.c.gid == gid, _GLASS.c.principal == principal, _DEADLINE.c.state < deadlines.DONE)
    return next(iter(_read(connection, wanted)), None)


def listed(connection: Connection, *, only_open: bool = False, limit: int = 1_000) -> list[Glass]:
    """All of them, those that go on first, the next to end before the others; then the last ended first."""
    wanted = [_DEADLINE.c.state < deadlines.DONE] if only_open else []
    found = _read(connection, *wanted, limit=limit)
    return sorted(
        found, key=lambda each: (not each.open, each.due_at if each.open else -(each.ended_at or 0))
    )


def _read(connection: Connection, *wanted: Any, limit: int = 1_000) -> list[Glass]:
    rows = connection.execute(
        select(
            _GLASS, _DEADLINE.c.due_at, _DEADLINE.c.tries, _DEADLINE.c.reason.label("trouble"),
            _DEADLINE.c.state.label("ending"),
        )
        .join_from(_GLASS, _DEADLINE, _DEADLINE.c.id == _GLASS.c.deadline_id)
        .where(*wanted)
        .order_by(_GLASS.c.id.desc())
        .limit(limit)
    )  # fmt: skip
    found = [
        Glass(
            id=row.id, deadline_id=row.deadline_id, gid=row.gid, group=Untrusted(row.group_name),
            principal=Untrusted(row.principal), reason=Untrusted(row.reason), ticket=Untrusted(row.ticket),
            by=row.by, state=row.state, started_at=row.started_at, given_at=row.given_at, due_at=row.due_at,
            ended_at=row.ended_at, ended_by=row.ended_by, end_reason=row.end_reason, tries=row.tries,
            trouble=Untrusted(row.trouble), organizations=tuple(row.gives.get("organizations", ())),
            privileged=tuple(row.gives.get("privileged", ())), open=row.ending < deadlines.DONE,
        )
        for row in rows
    ]  # fmt: skip
    return [_as_made(connection, each) if each.state == ASKED else each for each in found]


def _as_made(connection: Connection, glass: Glass) -> Glass:
    """One whose start was cut off, and whose plan was carried on with by others: it was given."""
    made = connection.execute(
        select(_STEP.c.finished_at)
        .join_from(_STEP, _PLAN, _PLAN.c.id == _STEP.c.plan_id)
        .where(_PLAN.c.source == source_of(glass.id), _STEP.c.outcome == STEP_DONE)
    ).first()
    return glass if made is None else replace(glass, state=GIVEN, given_at=made.finished_at)


@dataclass(frozen=True)
class Running:
    """What line 1 says of it."""

    open: int = 0
    """How many go on."""
    due_at: int = 0
    """When the next one of them ends, or should have."""
    title: str = ""
    """Which one that is: strangers' text."""
    trouble: str = ""
    """Why it could not be ended; "" when that was not tried."""


def running(connection: Connection) -> Running:
    """How many go on, and the one that ends next."""
    found = listed(connection, only_open=True)
    if not found:
        return Running()
    first = found[0]
    return Running(len(found), first.due_at, first.title, str(first.trouble))


# What was done with it


@dataclass(frozen=True)
class Deed:
    """An entry of a log."""

    time: int
    oid: str
    organization: Untrusted
    """Its name; of the group's log the group's."""
    kind: str
    """`etype` of the audit log, `action` of the group's."""
    message: Untrusted
    details: dict[str, Any]
    after_end: bool
    """Whether it came after the end, with a token from before it."""


@dataclass(frozen=True)
class Told:
    """How far the audit log of an organization is known."""

    oid: str
    organization: Untrusted
    known_until: int | None
    """ms; None when it was never read."""
    whole: bool
    """Whether that covers the whole time."""
    reason: Untrusted
    """Why its last reading failed; "" when it did not."""


@dataclass(frozen=True)
class Report:
    """What a person did while the glass was broken, as far as logs tell."""

    glass: Glass
    since: int
    until: int
    """Up to when entries are his or hers: an hour after the end, for that long tokens live."""
    deeds: tuple[Deed, ...]
    """Of the organizations' audit logs, the first one first."""
    of_group: tuple[Deed, ...]
    """What the group's own log says of that time."""
    told: tuple[Told, ...]
    """The organizations that the group held, by name."""
    keys: tuple[tuple[str, Untrusted, Untrusted], ...]
    """(oid, organization, name) of the API keys that the person made meanwhile and that are still there."""

    @property
    def whole(self) -> int:
        """Of how many organizations the log is known for the whole time."""
        return sum(1 for each in self.told if each.whole)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What has to be known to read it."""
        count = len(self.told)
        fresh = f"The audit log is known for the whole time of {self.whole} of {count} organizations."
        if self.whole < count:
            missing = [safe_text(each.organization, 40) for each in self.told if not each.whole]
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            fresh += f" Not of {', '.join(missing[:5])}{more}: `limegrove sync --only audit` reads them."
        stays: tuple[str, ...] = ()
        if self.keys:
            count = len(self.keys)
            stays = (
                f"{count} API key{'' if count == 1 else 's'} made meanwhile {'is' if count == 1 else 'are'} "
                "still there, and outlive the end.",
            )
        return (
            fresh,
            *stays,
            "Reads are not audited: what was looked at, nobody can tell.",
            "Tokens from before the end live for up to an hour: entries of that hour are marked.",
        )


def report(connection: Connection, glass: Glass, *, now: int, most: int = 10_000) -> Report:
    """What was done with it, from the audit logs of the organizations that the group held.

    Args:
        most: entries at most of each log.
    """
    since = glass.started_at
    ended = glass.ended_at if not glass.open and glass.ended_at is not None else None
    until = min(now, ended + TOKENS_LIVE) if ended is not None else now
    oids = _ever_held(connection, glass)
    names = _names(connection, oids)
    deeds = []
    for part in _parts(oids):
        rows = connection.execute(
            select(_AUDIT)
            .where(
                _AUDIT.c.oid.in_(part),
                _AUDIT.c.time >= since,
                _AUDIT.c.time <= until,
                func.lower(_AUDIT.c.actor) == str(glass.principal).lower(),
            )
            .order_by(_AUDIT.c.time, _AUDIT.c.oid, _AUDIT.c.digest)
            .limit(most)
        )
        deeds += [
            Deed(
                row.time, row.oid, Untrusted(names.get(row.oid, row.oid)), row.kind, Untrusted(row.message),
                row.details, ended is not None and row.time > ended,
            )
            for row in rows
        ]  # fmt: skip
    deeds.sort(key=lambda each: (each.time, each.oid))
    return Report(
        glass, since, until, tuple(deeds[:most]), _of_group(connection, glass, since, until, most),
        tuple(_told(connection, oids, names, until)), tuple(_keys(connection, glass, oids, names, since)),
    )  # fmt: skip


def _ever_held(connection: Connection, glass: Glass) -> list[str]:
    """The organizations that the group held when it was given, and those that it holds now."""
    now = connection.execute(select(_HELD.c.oid).where(_HELD.c.gid == glass.gid)).scalars()
    return sorted({*glass.organizations, *now})


def _of_group(connection: Connection, glass: Glass, since: int, until: int, most: int) -> tuple[Deed, ...]:
    rows = connection.execute(
        select(_EVENT)
        .where(
            _EVENT.c.gid == glass.gid,
            _EVENT.c.source == "group",
            # Groups' logs tell whole seconds.
            _EVENT.c.time >= since - SKEW,
            _EVENT.c.time <= until,
        )
        .order_by(_EVENT.c.time, _EVENT.c.id)
        .limit(most)
    )
    return tuple(
        Deed(
            row.time, row.oid, glass.group, row.action,
            Untrusted(" ".join(filter(None, (row.actor, row.action, row.principal, row.permission)))),
            row.details, False,
        )
        for row in rows
    )  # fmt: skip


def _keys(
    connection: Connection, glass: Glass, oids: Sequence[str], names: dict[str, str], since: int
) -> Iterable[tuple[str, Untrusted, Untrusted]]:
    """The keys of the person that are seen since then: the cloud tells no time at which one was made."""
    for part in _parts(oids):
        rows = connection.execute(
            select(_KEY.c.oid, _KEY.c.name)
            .where(
                _KEY.c.oid.in_(part),
                _KEY.c.first_seen >= since,
                func.lower(_KEY.c.created_by) == str(glass.principal).lower(),
            )
            .order_by(_KEY.c.oid, _KEY.c.name)
        )
        for row in rows:
            yield row.oid, Untrusted(names.get(row.oid, row.oid)), Untrusted(row.name)


def _told(connection: Connection, oids: Sequence[str], names: dict[str, str], until: int) -> Iterable[Told]:
    states: dict[str, Any] = {}
    for part in _parts(oids):
        states.update(
            (row.oid, row)
            for row in connection.execute(
                select(_STATE).where(_STATE.c.subject == "audit", _STATE.c.oid.in_(part))
            )
        )
    for oid in sorted(oids, key=lambda each: (str(names.get(each, each)).casefold(), each)):
        state = states.get(oid)
        known = state.checked_at if state is not None else None
        yield Told(
            oid,
            Untrusted(names.get(oid, oid)),
            known,
            known is not None and known >= until and not (state is not None and state.cursor),
            Untrusted(state.reason if state is not None and state.failure else ""),
        )


def _names(connection: Connection, oids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in _parts(oids):
        rows = connection.execute(
            select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name).where(_ORGANIZATION.c.oid.in_(part))
        )
        found.update((row.oid, row.name) for row in rows)
    return found


def _parts(values: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (values[at : at + size] for at in range(0, len(values), size))
