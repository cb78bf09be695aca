"""What the wishes for new customers are judged against, as the store knows it."""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection, Table, select

from store import models
from store.onboarding import Known, Place
from store.templates import library
from store.templates.effective import Layer
from store.text import Untrusted

_NODE: Table = models.Node.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_DIRECT: Table = models.DirectPermission.__table__  # type: ignore[attr-defined]
_MEMBER: Table = models.GroupMember.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]


def known(
    connection: Connection,
    *,
    me: str = "",
    extensions: Collection[str] | None = None,
    taken: Collection[str] | None = None,
) -> Known:
    """Everything that a wish may name.

    Args:
        me: the user whose key makes them, as the cloud calls him.
        extensions: those that exist, as the cloud says; None when it was not asked.
        taken: names that the cloud gives to nobody any more; None when it was not asked.
    """
    organizations = {
        row.oid: Untrusted(row.name)
        for row in connection.execute(
            select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name)
            .where(_ORGANIZATION.c.gone_at.is_(None))
            .order_by(_ORGANIZATION.c.oid)
        )
    }
    groups = {
        row.gid: (Untrusted(row.name), bool(row.complete))
        for row in connection.execute(
            select(_GROUP.c.gid, _GROUP.c.name, _GROUP.c.complete).order_by(_GROUP.c.gid)
        )
    }
    templates = {
        stored.name: Layer("", "", stored.name, library.template(connection, stored.name))
        for stored in library.listed(connection)
    }
    people = {
        str(email).casefold()
        for column in (_DIRECT.c.email, _MEMBER.c.email)
        for email in connection.execute(select(column).distinct()).scalars()
    }
    return replace(
        Known(),
        me=me,
        # Where nobody was read yet, nobody can be missing.
        people=frozenset(people) or None,
        places=_places(connection, templates),
        organizations=organizations,
        templates=templates,
        groups=groups,
        extensions=None if extensions is None else frozenset(extensions),
        taken=None if taken is None else frozenset(taken),
    )


def _places(connection: Connection, templates: dict[str, Layer]) -> dict[str, Place]:
    assigned: dict[str, list[str]] = {}
    for each in library.assignments(connection):
        assigned.setdefault(each.node, []).append(each.template)
    found: dict[str, Place] = {}
    above: list[tuple[int, Place]] = []
    for row in connection.execute(select(_NODE).order_by(_NODE.c.first)):
        while above and above[-1][0] < row.first:
            above.pop()
        over = above[-1][1] if above else Place("", "", Untrusted(""))
        own = [
            replace(templates[name], node=row.id, path=row.path)
            for name in assigned.get(row.id, ())
            if name in templates
        ]
        place = Place(
            row.id,
            row.path,
            Untrusted(row.name),
            {**over.parameters, **row.parameters},
            over.marks | set(row.marks),
            (*over.layers, *own),
        )
        found[row.id] = place
        above.append((row.last, place))
    return found
