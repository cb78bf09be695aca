"""What every organization of a scope is to have, worked out once for all that have the same layers.

Ten thousand customers of a provider have a handful of different sets of templates and parameters. Each such
set is one `WantedSet`; only records that name the organization itself (`${oid}`) are worked out one by one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, Text, cast, or_, select

from store import models
from store.configuration import canonical
from store.queries.scopes import oids_of
from store.rollouts.compare import normalised_metadata, wanted_hash
from store.templates import library
from store.templates.documents import Key, Record, Template
from store.templates.effective import Effective, Layer, effective
from store.templates.parameters import BUILT_IN, parameters_of, used

_NODE: Table = models.Node.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_VERSION: Table = models.TemplateVersion.__table__  # type: ignore[attr-defined]

_SAME = attrgetter("wanted.hash", "marks")

_SELF = {name: f"${{{name}}}" for name in BUILT_IN}


@dataclass(frozen=True, slots=True)
class Want:
    """One record that is wanted."""

    hash: str
    """`compare.wanted_hash`."""
    metadata: Mapping[str, Any] | None
    """Normalised; None when the document does not say."""
    template: str
    version: int
    names: tuple[str, ...] = ()
    """Of a category of resources: what has to be among them."""


@dataclass(frozen=True)
class WantedSet:
    """What organizations with the same layers and parameters are to have."""

    hash: str
    """Over everything in it: two sets of one hash want the same."""
    records: Mapping[Key, Want]
    own: Mapping[Key, tuple[Record, str, int]]
    """Records that name the organization, not filled in yet, with template and version."""
    off: frozenset[Key]
    blocked: tuple[str, ...]
    """Why nothing may be planned for any of them; empty when it may."""
    effective: Effective = field(repr=False, compare=False)

    def of(self, oid: str, name: str, key: bytes) -> dict[Key, Want]:
        """What one organization is to have, its own records filled in.

        Args:
            key: the installation's redaction key.
        """
        found = dict(self.records)
        for each, (record, template, version) in self.own.items():
            body = filled_in(record.body, oid, name)
            metadata = None if record.metadata is None else filled_in(dict(record.metadata), oid, name)
            found[each] = Want(
                wanted_hash(record.section, record.name, body, key),
                None if metadata is None else normalised_metadata(metadata),
                template,
                version,
                tuple(body) if record.section == "resource" else (),
            )
        return found


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An organization with layers. There are tens of thousands of them."""

    oid: str
    name: str
    path: str
    marks: frozenset[str]
    wanted: WantedSet


def runs(placed: Iterable[Placed]) -> Iterator[tuple[WantedSet, frozenset[str], list[Placed]]]:
    """Organizations that stand one after the other and have the same wanted set and marks, together."""
    for _, run in groupby(placed, _SAME):
        some = list(run)
        yield some[0].wanted, some[0].marks, some


def filled_in(value: Any, oid: str, name: str) -> Any:
    """A value with the organization's id and name put in."""
    if isinstance(value, str):
        return value.replace(_SELF["oid"], oid).replace(_SELF["organization"], name)
    if isinstance(value, Mapping):
        return {filled_in(each, oid, name): filled_in(held, oid, name) for each, held in value.items()}
    if isinstance(value, list):
        return [filled_in(each, oid, name) for each in value]
    return value


def wanted(connection: Connection, scope: str, key: bytes) -> list[Placed]:
    """What the organizations of a scope are to have, in the order of the tree; those without layers are not
    among them.

    Args:
        scope: a node's id; "" for all.
        key: the installation's redaction key, under which secrets in templates are digested.
    """
    working = _Working(connection, key)
    below = oids_of(connection, scope)
    inside = None if below is None else {str(row[0]) for row in connection.execute(below)}
    return [each for each in working.placed() if inside is None or each.oid in inside]


def versions(connection: Connection) -> dict[str, tuple[int, str]]:
    """The newest version of each template, and its hash."""
    found: dict[str, tuple[int, str]] = {}
    for row in connection.execute(
        select(_VERSION.c.name, _VERSION.c.version, _VERSION.c.hash).order_by(_VERSION.c.version)
    ):
        found[row.name] = (row.version, row.hash)
    return found


_EMPTY = ("", "{}", "[]", "null")
"""JSON columns in which there is nothing."""


@dataclass(slots=True)
class _Above:
    """What holds from a place of the tree on, until the next one."""

    first: int
    layers: tuple[tuple[str, str, str], ...]
    parameters: dict[str, Any]
    marks: frozenset[str]
    wanted: WantedSet | None = None


class _Working:
    def __init__(self, connection: Connection, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._layers: dict[str, list[str]] = {}
        for assigned in library.assignments(connection):
            self._layers.setdefault(assigned.node, []).append(assigned.template)
        self._versions = versions(connection)
        self._templates: dict[str, Template | None] = {}
        self._uses: dict[str, frozenset[str]] = {}
        self._sets: dict[bytes, WantedSet] = {}

    def placed(self) -> Iterator[Placed]:
        # Ten thousand nodes have nothing of their own, and a handful has: what is above is theirs.
        above = list(self._above())
        at, here = 0, above[0] if above else None
        listed = self._connection.execute(
            select(_NODE.c.first, _NODE.c.oid, _NODE.c.path, _ORGANIZATION.c.name)
            .join_from(_NODE, _ORGANIZATION, _ORGANIZATION.c.oid == _NODE.c.oid)
            .order_by(_NODE.c.first)
        )
        for first, oid, path, name in listed.fetchall():
            while at < len(above) and above[at].first <= first:
                here = above[at]
                at += 1
            if here is not None and here.layers:
                if here.wanted is None:
                    here.wanted = self._set(here.layers, here.parameters)
                yield Placed(oid, name, path, here.marks, here.wanted)

    def _above(self) -> Iterator[_Above]:
        """What holds from each place of the tree on, in its order."""
        own = or_(
            cast(_NODE.c.parameters, Text).not_in(_EMPTY),
            cast(_NODE.c.marks, Text).not_in(_EMPTY),
            _NODE.c.id.in_(list(self._layers)),
        )
        listed = self._connection.execute(
            select(
                _NODE.c.id, _NODE.c.first, _NODE.c.last, _NODE.c.path,
                cast(_NODE.c.parameters, Text), cast(_NODE.c.marks, Text),
            )
            .where(own)
            .order_by(_NODE.c.first)
        )  # fmt: skip
        nothing = _Above(0, (), {}, frozenset())
        open_: list[tuple[int, _Above]] = []
        for id_, first, last, path, parameters, marks in listed.fetchall():
            while open_ and open_[-1][0] < first:
                yield self._after(open_, nothing)
            over = open_[-1][1] if open_ else nothing
            here = _Above(
                first,
                (*over.layers, *((id_, path, each) for each in self._layers.get(id_, ()))),
                over.parameters | (json.loads(parameters) or {}) if parameters else over.parameters,
                over.marks | set(json.loads(marks) or ()) if marks else over.marks,
            )
            yield here
            open_.append((last, here))
        while open_:
            yield self._after(open_, nothing)

    @staticmethod
    def _after(open_: list[tuple[int, _Above]], nothing: _Above) -> _Above:
        """What holds behind the innermost node: what held before it."""
        last, _ = open_.pop()
        return replace(open_[-1][1] if open_ else nothing, first=last + 1)

    def _set(self, layers: tuple[tuple[str, str, str], ...], parameters: Mapping[str, Any]) -> WantedSet:
        wanted = frozenset[str]().union(*(self._used(name) for _, _, name in layers))
        values = {name: parameters[name] for name in sorted(wanted) if name in parameters}
        identity = canonical(
            {
                "layers": [[node, name, *self._versions.get(name, (0, ""))] for node, _, name in layers],
                "values": values,
            }
        )
        found = self._sets.get(identity)
        if found is None:
            found = self._sets[identity] = self._made(layers, values)
        return found

    def _made(self, layers: tuple[tuple[str, str, str], ...], values: Mapping[str, Any]) -> WantedSet:
        held = [
            Layer(node, path, name, template)
            for node, path, name in layers
            if (template := self._template(name)) is not None
        ]
        result = effective(held, {**values, **_SELF})
        gone = tuple(
            f"The template {name} is not in the store any more."
            for _, _, name in layers
            if self._template(name) is None
        )
        records: dict[Key, Want] = {}
        own: dict[Key, tuple[Record, str, int]] = {}
        for each, want in result.records.items():
            record, name = want.record, want.origins[-1].layer
            version = self._versions.get(name, (0, ""))[0]
            if used(record.body).union(used(dict(record.metadata or {}))) & set(BUILT_IN):
                own[each] = (record, name, version)
                continue
            records[each] = Want(
                wanted_hash(record.section, record.name, record.body, self._key),
                None if record.metadata is None else normalised_metadata(record.metadata),
                name,
                version,
                tuple(record.body) if record.section == "resource" else (),
            )
        blocked = (*result.blocked, *gone)
        digest = hashlib.sha256(
            canonical(
                {
                    "records": sorted([*each, want.hash, want.metadata] for each, want in records.items()),
                    "own": sorted(
                        [*each, record.body, dict(record.metadata or {})]
                        for each, (record, _, _) in own.items()
                    ),
                    "blocked": list(blocked),
                }
            )
        ).hexdigest()
        return WantedSet(digest, records, own, frozenset(result.off), blocked, result)

    def _template(self, name: str) -> Template | None:
        if name not in self._templates:
            try:
                self._templates[name] = library.template(self._connection, name)
            except library.UnknownTemplate:
                self._templates[name] = None
        return self._templates[name]

    def _used(self, name: str) -> frozenset[str]:
        """The tree's parameters that a template looks at."""
        if name not in self._uses:
            template = self._template(name)
            self._uses[name] = frozenset(parameters_of(template)[0] if template is not None else ())
        return self._uses[name]


def body_of(placed: Placed, key: Key) -> tuple[Any, Mapping[str, Any] | None]:
    """Content and metadata of a wanted record, secrets in place: for the write, never for the store."""
    record = placed.wanted.effective.records[key].record
    filled = replace(record, body=filled_in(record.body, placed.oid, placed.name))
    metadata = None if record.metadata is None else filled_in(dict(record.metadata), placed.oid, placed.name)
    return filled.body, metadata
