"""Templates in the store: imported, versioned, assigned to nodes of the tree."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Subquery, Table, delete, func, insert, select

from store import models
from store.bodies import pack, storable, unpack
from store.configuration import canonical
from store.queries.scopes import oids_of, parameters_of
from store.templates.documents import Template, resolve
from store.templates.effective import Effective, Layer, effective

_VERSION: Table = models.TemplateVersion.__table__  # type: ignore[attr-defined]
_FILE: Table = models.TemplateFile.__table__  # type: ignore[attr-defined]
_CONTENT: Table = models.TemplateContent.__table__  # type: ignore[attr-defined]
_ASSIGNED: Table = models.TemplateAssignment.__table__  # type: ignore[attr-defined]
_NODE: Table = models.Node.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]

NAME = re.compile(r"[^\s/\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,127}")
"""What a template may be called: as a path, `global/all` or `customers/acme`."""


class UnknownTemplate(LookupError):
    """No template has this name."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of a template."""

    name: str
    version: int
    main: str
    hash: str
    source: str
    imported_at: int
    """Milliseconds, UTC."""
    imported_by: str
    files: int
    nodes: int
    """To how many nodes the template is assigned."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """A layer: a template on a node."""

    node: str
    path: str
    """"" for the root, and for a node that is gone."""
    template: str
    position: int


def put(
    connection: Connection,
    name: str,
    main: str,
    files: Mapping[str, bytes],
    *,
    source: str = "",
    by: str = "",
    now: int,
) -> tuple[int, bool]:
    """Keep a template; one that is as its newest version is not kept again.

    Args:
        files: path below the template's directory -> content.
        source: the directory that it was read from.

    Returns:
        Its version, and whether that is new.
    """
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    whole = hashlib.sha256(canonical({"main": main, "files": hashes})).hexdigest()
    newest = connection.execute(
        select(_VERSION.c.version, _VERSION.c.hash)
        .where(_VERSION.c.name == name)
        .order_by(_VERSION.c.version.desc())
        .limit(1)
    ).one_or_none()
    if newest is not None and newest.hash == whole:
        return int(newest.version), False
    version = 1 if newest is None else int(newest.version) + 1
    known = set(
        connection.execute(select(_CONTENT.c.hash).where(_CONTENT.c.hash.in_(set(hashes.values())))).scalars()
    )
    for path, content in files.items():
        if hashes[path] not in known:
            known.add(hashes[path])
            connection.execute(insert(_CONTENT).values(hash=hashes[path], content=pack(content)))
    connection.execute(
        insert(_VERSION).values(
            name=name, version=version, main=main, hash=whole, source=storable(source), imported_at=now,
            imported_by=storable(by),
        )
    )  # fmt: skip
    connection.execute(
        insert(_FILE),
        [{"name": name, "version": version, "path": path, "hash": each} for path, each in hashes.items()],
    )
    return version, True


def listed(connection: Connection, names: Iterable[str] | None = None) -> list[Stored]:
    """The newest version of each template, by name."""
    newest = (
        select(_VERSION.c.name, func.max(_VERSION.c.version).label("version"))
        .group_by(_VERSION.c.name)
        .subquery()
    )
    files = (
        select(func.count())
        .where(_FILE.c.name == _VERSION.c.name, _FILE.c.version == _VERSION.c.version)
        .scalar_subquery()
    )
    nodes = select(func.count()).where(_ASSIGNED.c.template == _VERSION.c.name).scalar_subquery()
    query = (
        select(_VERSION, files.label("files"), nodes.label("nodes"))
        .join(newest, (newest.c.name == _VERSION.c.name) & (newest.c.version == _VERSION.c.version))
        .order_by(_VERSION.c.name)
    )
    if names is not None:
        query = query.where(_VERSION.c.name.in_(list(names)))
    return [Stored(**row._mapping) for row in connection.execute(query)]


def template(connection: Connection, name: str, version: int | None = None) -> Template:
    """A template of the store, resolved; its newest version unless another is asked for.

    Raises:
        UnknownTemplate: there is none of that name, or that version.
    """
    query = select(_VERSION.c.version, _VERSION.c.main, _VERSION.c.hash).where(_VERSION.c.name == name)
    if version is not None:
        query = query.where(_VERSION.c.version == version)
    found = connection.execute(query.order_by(_VERSION.c.version.desc()).limit(1)).one_or_none()
    if found is None:
        raise UnknownTemplate(name)
    rows = connection.execute(
        select(_FILE.c.path, _CONTENT.c.content)
        .join(_CONTENT, _CONTENT.c.hash == _FILE.c.hash)
        .where(_FILE.c.name == name, _FILE.c.version == found.version)
    )
    files = {row.path: unpack(row.content) for row in rows}
    return _resolved(found.hash, found.main, tuple(sorted(files.items())))


def files(connection: Connection, name: str) -> dict[str, bytes]:
    """The files of the newest version of a template: path -> content; none when there is no such template."""
    newest = select(func.max(_VERSION.c.version)).where(_VERSION.c.name == name).scalar_subquery()
    rows = connection.execute(
        select(_FILE.c.path, _CONTENT.c.content)
        .join(_CONTENT, _CONTENT.c.hash == _FILE.c.hash)
        .where(_FILE.c.name == name, _FILE.c.version == newest)
    )
    return {row.path: unpack(row.content) for row in rows}


@lru_cache(maxsize=64)
def _resolved(_hash: str, main: str, files: tuple[tuple[str, bytes], ...]) -> Template:
    held = dict(files)

    def content(path: str) -> bytes:
        if path not in held:
            raise FileNotFoundError(path)
        return held[path]

    return resolve(main, content, lambda: list(held))


def assign(connection: Connection, node: str, name: str, *, by: str = "", now: int) -> bool:
    """Put a template on a node, behind those that are there; whether it was not there yet.

    Raises:
        UnknownTemplate: there is none of that name.
    """
    if connection.execute(select(_VERSION.c.name).where(_VERSION.c.name == name).limit(1)).first() is None:
        raise UnknownTemplate(name)
    there = select(_ASSIGNED.c.template, _ASSIGNED.c.position).where(_ASSIGNED.c.node_id == node)
    held = {row.template: row.position for row in connection.execute(there)}
    if name in held:
        return False
    connection.execute(
        insert(_ASSIGNED).values(
            node_id=node, template=name, position=max(held.values(), default=0) + 1, assigned_at=now,
            assigned_by=storable(by),
        )
    )  # fmt: skip
    return True


def unassign(connection: Connection, node: str, name: str) -> bool:
    """Take a template off a node; whether it was there."""
    done = connection.execute(
        delete(_ASSIGNED).where(_ASSIGNED.c.node_id == node, _ASSIGNED.c.template == name)
    )
    return done.rowcount > 0


def assignments(connection: Connection, name: str | None = None) -> list[Assigned]:
    """Every layer, in the order in which they are laid: of a node above first."""
    query = (
        select(_ASSIGNED.c.node_id, _NODE.c.path, _ASSIGNED.c.template, _ASSIGNED.c.position)
        .select_from(_ASSIGNED.outerjoin(_NODE, _NODE.c.id == _ASSIGNED.c.node_id))
        .order_by(_NODE.c.first, _ASSIGNED.c.node_id, _ASSIGNED.c.position, _ASSIGNED.c.template)
    )
    if name is not None:
        query = query.where(_ASSIGNED.c.template == name)
    return [
        Assigned(row.node_id, row.path or "", row.template, row.position) for row in connection.execute(query)
    ]


def layers_of(connection: Connection, oid: str) -> list[Layer]:
    """The layers of an organization, root first; none when it has no place in the tree."""
    return _layers(connection, select(_NODE.c.first, _NODE.c.last).where(_NODE.c.oid == oid).subquery())


def _layers(connection: Connection, here: Subquery) -> list[Layer]:
    rows = connection.execute(
        select(_NODE.c.id, _NODE.c.path, _ASSIGNED.c.template)
        .join(_ASSIGNED, _ASSIGNED.c.node_id == _NODE.c.id)
        .where(_NODE.c.first <= here.c.first, _NODE.c.last >= here.c.last)
        .order_by(_NODE.c.first, _ASSIGNED.c.position, _ASSIGNED.c.template)
    ).all()
    return [Layer(row.id, row.path, row.template, template(connection, row.template)) for row in rows]


def layers_at(connection: Connection, node: str) -> list[Layer]:
    """The layers that hold at a node, root first: of itself and of all above it."""
    here = select(_NODE.c.first, _NODE.c.last).where(_NODE.c.id == node).subquery()
    return _layers(connection, here)


def layered(connection: Connection, scope: str = "") -> dict[str, str]:
    """The organizations of a scope that have any layer: oid -> name, in the order of the tree."""
    above = _NODE.alias()
    assigned = (
        select(_ASSIGNED.c.template)
        .join(above, above.c.id == _ASSIGNED.c.node_id)
        .where(above.c.first <= _NODE.c.first, above.c.last >= _NODE.c.last)
    )
    query = (
        select(_NODE.c.oid, _ORGANIZATION.c.name)
        .join(_ORGANIZATION, _ORGANIZATION.c.oid == _NODE.c.oid)
        .where(assigned.exists())
        .order_by(_NODE.c.first)
    )
    below = oids_of(connection, scope)
    if below is not None:
        query = query.where(_NODE.c.oid.in_(below))
    return {row.oid: row.name for row in connection.execute(query)}


def values_of(connection: Connection, oid: str) -> dict[str, Any]:
    """What an organization's parameters are: the tree's, and `oid` and `organization`."""
    name = connection.execute(
        select(_ORGANIZATION.c.name).where(_ORGANIZATION.c.oid == oid)
    ).scalar_one_or_none()
    return {**parameters_of(connection, oid), "oid": oid, "organization": name or ""}


def effective_of(connection: Connection, oid: str) -> Effective:
    """What an organization is to have."""
    return effective(layers_of(connection, oid), values_of(connection, oid))
