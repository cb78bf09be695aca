"""What the findings about access go by, read from the store."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Text, cast, func, or_, select

from store.audituse import WHOLE
from store.breakglass import declared as meant_for_break_glass
from store.closure import World
from store.findings import (
    AUDITED,
    KINDS,
    Facts,
    Finding,
    KeyDetail,
    Kind,
    Place,
    Report,
    Role,
    Thresholds,
    find,
    is_parameter,
    thresholds_in,
    wrong_parameter,
)
from store.models import AccessEvent, ApiKey, AuditUse, GroupRole, Node, Organization, SyncState, User
from store.queries.scopes import oids_of
from store.staff import DOMAINS, LEFT, STAFF, domains_in, left_in, staff_of
from store.text import Untrusted

_MARKS = sorted({mark for audited in AUDITED.values() for mark in audited.marks})


def findings(
    connection: Connection,
    *,
    now: int,
    scope: str = "",
    oid: str = "",
    kinds: Collection[Kind] | None = None,
    use: bool = True,
) -> Report:
    """Everything that is wrong with who may do what.

    Args:
        now: milliseconds, UTC.
        scope: a node of the tree; "" for all organizations.
        oid: only what this organization has part in; "" for the scope's.
        kinds: only these; all of `store.findings.KINDS` when None.
        use: whether it is asked what was used: a third of the time among ten thousand organizations.
    """
    return find(facts(connection, now=now, scope=scope, oid=oid, kinds=kinds, use=use), kinds)


def finding(
    connection: Connection, wanted: str, *, now: int, scope: str = "", oid: str = ""
) -> Finding | None:
    """The finding of this id, as far as the scope goes; None when there is none, or none any more."""
    kind = next((each for each in KINDS if wanted.startswith(f"{each}-")), None)
    if kind is None:
        return None
    found = findings(connection, now=now, scope=scope, oid=oid, kinds=(kind,)).findings
    return next((each for each in found if each.id == wanted), None)


def facts(
    connection: Connection,
    *,
    now: int,
    scope: str = "",
    oid: str = "",
    kinds: Collection[Kind] | None = None,
    use: bool = True,
) -> Facts:
    """What the rules go by; arguments as of `findings`."""
    world = World.load(connection)
    tree = _tree(connection)
    read = _read(connection)
    use = use and (kinds is None or "unused" in kinds)
    began, used, granted = _use(connection) if use else ({}, None, {})
    inside = _inside(connection, scope, oid)
    declared = frozenset[str]().union(*(domains for _, domains in tree.places.values()))
    owners = {email for group in world.groups.values() for email in group.owners}
    role = GroupRole.__table__.c  # type: ignore[attr-defined]
    user = User.__table__.c  # type: ignore[attr-defined]
    return Facts(
        world=world,
        places={
            at: Place(
                at, name, *tree.places.get(at, (at, frozenset())),
                read=(at, "access") in read,
                keys_read=(at, "keys") in read,
                audited=(began[at], until) if at in began and (until := read.get((at, "audit"))) else None,
            )
            for at, name in world.organizations.items()
        },
        now=now,
        inside=inside,
        keys=_keys(connection, world),
        mfa={email: told for email, told in connection.execute(select(user.email, user.mfa))},
        staff=staff_of(tree.staff, declared, owners),
        left=tree.left,
        declared=declared,
        roles={
            row.gid: Role(row.role, frozenset(row.permissions))
            for row in connection.execute(select(role.gid, role.role, role.permissions))
        },
        used=used,
        granted=granted,
        groups_read=("", "groups") in read,
        spared=frozenset(meant_for_break_glass(connection)),
        thresholds=tree.thresholds,
    )  # fmt: skip


def problems(connection: Connection) -> list[str]:
    """What of the tree's parameters for the findings is not understood and passed over, a sentence each."""
    node = Node.__table__.c  # type: ignore[attr-defined]
    said = select(node.id, node.parent_id, node.parameters).where(
        or_(
            *(
                cast(node.parameters, Text).contains(word, autoescape=True)
                for word in (f'"{STAFF}"', f'"{DOMAINS}"', f'"{LEFT}"', '"findings_')
            )
        )
    )
    return [
        f"{name} of the node {row.id} is passed over: {wrong}."
        for row in connection.execute(said.order_by(node.first))
        for name in sorted(row.parameters)
        if is_parameter(name)
        and (wrong := wrong_parameter(name, row.parameters[name], root=row.parent_id is None))
    ]


class _Tree:
    """What the tree says: whose organizations are, who is staff, what is measured by."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[str, frozenset[str]]] = {}
        """oid -> whose it is, and the domains that are declared for it."""
        self.staff: tuple[str, ...] = ()
        self.left: frozenset[str] = frozenset()
        self.thresholds = Thresholds()


def _tree(connection: Connection) -> _Tree:
    node = Node.__table__.c  # type: ignore[attr-defined]
    found = _Tree()
    # Of the nodes from the root to here: depth, and whose what stands below is, as its node says.
    above: list[tuple[int, str, frozenset[str]]] = []
    rows = connection.execute(
        select(node.id, node.oid, node.depth, node.parent_id, cast(node.parameters, Text)).order_by(
            node.first
        )
    )
    for node_id, oid, depth, parent, text in rows.all():
        while above and above[-1][0] >= depth:
            above.pop()
        whose, domains = (above[-1][1], above[-1][2]) if above else ("", frozenset[str]())
        parameters: Mapping[str, Any] = json.loads(text) if text and text != "{}" else {}
        if parameters:
            own = domains_in(parameters, DOMAINS)
            if own:
                whose, domains = node_id, domains.union(own)
            if parent is None:
                found.staff = domains_in(parameters, STAFF)
                found.left = left_in(parameters)
                found.thresholds = thresholds_in(parameters)
        # Without domains an organization is a customer, and its children are the same one.
        if oid is not None:
            whose = whose or node_id
            found.places[oid] = (whose, domains)
        above.append((depth, whose, domains))
    return found


def _read(connection: Connection) -> dict[tuple[str, str], int]:
    """(oid, subject) -> when it was last read completely; of the audit log only where that goes on so far."""
    state = SyncState.__table__.c  # type: ignore[attr-defined]
    rows = connection.execute(
        select(state.oid, state.subject, state.checked_at, state.failure).where(
            state.subject.in_(("access", "keys", "audit", "groups")), state.checked_at.is_not(None)
        )
    )
    return {
        (oid, subject): checked_at
        for oid, subject, checked_at, failure in rows.all()
        if subject != "audit" or not failure
    }


def _inside(connection: Connection, scope: str, oid: str) -> frozenset[str] | None:
    below = oids_of(connection, scope)
    inside: frozenset[str] | None = None
    if below is not None:
        inside = frozenset(row.oid for row in connection.execute(below))
    if not oid:
        return inside
    return frozenset((oid,)) if inside is None or oid in inside else frozenset()


def _keys(connection: Connection, world: World) -> list[KeyDetail]:
    key, organization = ApiKey.__table__.c, Organization.__table__.c  # type: ignore[attr-defined]
    rows = connection.execute(
        select(key.oid, key.key_hash, key.created_by, key.allowed_ip_range, key.last_used, key.first_seen)
        .join_from(ApiKey, Organization, organization.oid == key.oid)
        .where(organization.gone_at.is_(None))
    )
    found = []
    for oid, key_hash, by, allowed, last_used, first_seen in rows.all():
        held = world.keys.get(oid, {}).get(key_hash)
        if held is not None:
            found.append(
                KeyDetail(
                    oid, key_hash, held.name, held.permissions, Untrusted(by), Untrusted(allowed), last_used,
                    first_seen,
                )
            )  # fmt: skip
    return found


def _use(
    connection: Connection,
) -> tuple[dict[str, int], dict[tuple[str, str], dict[str, int]], dict[tuple[str, str], int]]:
    """From when on the audit log is stored; who last used what; to whom something was last granted or
    taken."""
    use, event = AuditUse.__table__.c, AccessEvent.__table__.c  # type: ignore[attr-defined]
    began = {
        oid: first
        for oid, first in connection.execute(
            select(use.oid, use.first).where(use.actor == WHOLE, use.mark == WHOLE)
        ).all()
    }
    used: dict[tuple[str, str], dict[str, int]] = {}
    for oid, actor, mark, last in connection.execute(
        select(use.oid, use.actor, use.mark, use.last).where(use.mark.in_(_MARKS))
    ).all():
        used.setdefault((oid, actor), {})[mark] = last
    granted = {
        (oid, principal): last
        for oid, principal, last in connection.execute(
            select(event.oid, event.principal, func.max(event.time))
            .where(event.source == "audit", event.principal != "")
            .group_by(event.oid, event.principal)
        ).all()
    }
    return began, used, granted
