"""Where organizations are not as their templates want them: as a list, as a heat table, and by whom."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, Text, cast, select

from store import models
from store.bodies import unpack
from store.configuration import content_hash
from store.drift import (
    CLASSES,
    WEIGHTS,
    WHOLE,
    Decided,
    Drift,
    DriftClass,
    class_of,
    decisions,
    has_expired,
)
from store.queries.scopes import NODE, oids_of
from store.rollouts.compare import has_secret, normalised, normalised_metadata, observed_name
from store.rollouts.contents import NO_KEY, before_of, wanted_of
from store.rollouts.diff import Difference, differences
from store.rollouts.plans import Observed, compared
from store.rollouts.wanted import Placed, Want, WantedSet, wanted
from store.templates.documents import Key
from store.text import Untrusted

_RECORD: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]
_OWNED: Table = models.TemplateOwned.__table__  # type: ignore[attr-defined]
_SYNC: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_AUDIT: Table = models.AuditEntry.__table__  # type: ignore[attr-defined]

CHUNK = 500
"""Names asked for at once."""

AUDIT_LOOKED_AT = 5_000
"""Entries of an organization's audit log, newest first, among which one about a record is looked for."""


@dataclass(frozen=True)
class Report:
    """Everything that deviates within a scope, as the store has it."""

    drifts: tuple[Drift, ...]
    """Worst first: by class, record, and organization in the order of the tree. Accepted and excluded ones
    are among them."""
    organizations: Mapping[str, Untrusted]
    """oid -> name, of every organization that has layers, in the order of the tree."""
    placed: Mapping[str, Placed]
    blocked: tuple[tuple[str, str], ...]
    """(oid, why it cannot be said what it is to have)."""
    oldest: int | None
    """When the configuration that was read longest ago was read (ms); None when none was."""
    failed: tuple[tuple[str, str], ...] = ()
    """(oid, reason): the last reading failed, and what is shown is of an earlier one."""

    @property
    def standing(self) -> tuple[Drift, ...]:
        """Those that are neither accepted nor excluded."""
        return tuple(each for each in self.drifts if each.standing)

    @property
    def counts(self) -> dict[DriftClass, int]:
        """How many of each class stand, the worst class first; only classes of which there are any."""
        counted = Counter(each.drift for each in self.drifts if each.standing)
        return {word: counted[word] for word in CLASSES if counted[word]}


def of_one(connection: Connection, oid: str, *, key: bytes | None, now: int) -> Report:
    """The report of one organization; arguments as of `report`."""
    node = connection.execute(select(NODE.c.id).where(NODE.c.oid == oid)).scalar_one_or_none()
    return report(connection, scope=node or oid, key=key, now=now)


def report(connection: Connection, *, scope: str = "", key: bytes | None, now: int) -> Report:
    """Find every deviation within a scope.

    Args:
        scope: a node's id; "" for all.
        key: the installation's redaction key (as `store.rollouts.wanted.wanted`). Without it nobody can tell
            whether a secret is the one that is wanted, and a record with one counts as unreadable.
        now: milliseconds, UTC: what has expired, and what is accepted no longer.
    """
    known_key, key = key is not None, key or NO_KEY
    found = compared(connection, scope=scope, key=key, ignore_frozen=True)
    known = _Reading(connection, found.placed)
    blocked = dict(found.blocked)
    ready = [each for each in found.placed if each.oid not in blocked]
    owned = known.owned()
    drifts: list[Drift] = [
        Drift(
            each.oid, each.section, each.name, class_of(each, (each.oid, *each.key) in owned, now),
            each.before, each.after,
        )
        for each in found.changes
    ]  # fmt: skip
    if not known_key:
        drifts = [known.without_key(each) for each in drifts]
    there = {(each.oid, each.section, each.name) for each in drifts}
    for each in (*_expired(connection, ready, key, now), *known.extras(ready, owned)):
        if (each.oid, *each.key) not in there:
            there.add((each.oid, *each.key))
            drifts.append(each)
    reasons = {each.oid: each.wanted.blocked for each in found.placed}
    unread = [(oid, why) for oid, why in found.blocked if not reasons[oid]]
    drifts += [Drift(oid, *WHOLE, "unreadable", None, None, reason=why) for oid, why in unread]
    decided = decisions(connection)
    order = {each.oid: place for place, each in enumerate(found.placed)}
    rank = {word: place for place, word in enumerate(CLASSES)}
    drifts = [_with(each, decided.get((each.oid, each.section, each.name)), now) for each in drifts]
    drifts.sort(key=lambda each: (rank[each.drift], each.section, each.name, order[each.oid]))
    oldest, failed = known.freshness({oid for oid, _ in unread})
    return Report(
        tuple(drifts),
        {each.oid: Untrusted(each.name) for each in found.placed},
        {each.oid: each for each in found.placed},
        tuple((oid, why) for oid, why in found.blocked if reasons[oid]),
        oldest,
        failed,
    )


def _with(drift: Drift, decided: Decided | None, now: int) -> Drift:
    if decided is None:
        return drift
    return replace(
        drift,
        holds=decided.holds(drift.before, now),
        until=decided.until,
        reason=decided.reason,
        by=decided.by,
    )


def _expired(
    connection: Connection, ready: Sequence[Placed], redaction_key: bytes, now: int
) -> Iterator[Drift]:
    """Records that are as wanted and whose expiry has passed.

    Only those are read of which the template says so, or says nothing of the metadata.
    """
    sets: dict[str, tuple[WantedSet, list[Placed]]] = {}
    for each in ready:
        sets.setdefault(each.wanted.hash, (each.wanted, []))[1].append(each)
    asked: dict[Key, dict[str, Want]] = {}
    for every, some in sets.values():
        for key, want in every.records.items():
            if key[0].startswith("hive/") and (want.metadata is None or has_expired(want.metadata, now)):
                asked.setdefault(key, {}).update(dict.fromkeys((each.oid for each in some), want))
        if any(section.startswith("hive/") for section, _ in every.own):
            for each in some:
                filled = every.of(each.oid, each.name, redaction_key)
                for key in every.own:
                    if key[0].startswith("hive/"):
                        asked.setdefault(key, {})[each.oid] = filled[key]
    for key, wants in asked.items():
        query = select(_RECORD.c.oid, _RECORD.c.hash, cast(_RECORD.c.metadata, Text), _RECORD.c.etag).where(
            _RECORD.c.section == key[0], _RECORD.c.name == key[1], _RECORD.c.valid_to.is_(None)
        )
        known: dict[str, dict[str, Any]] = {}
        for oid, digest, said, etag in connection.execute(query):
            if oid in wants:
                if said not in known:
                    known[said] = normalised_metadata(json.loads(said) if said else None)
                if has_expired(known[said], now):
                    before = Observed(digest, known[said], etag, digest)
                    yield Drift(oid, *key, "expired", before, wants[oid])


class _Reading:
    """What is asked of the store besides the comparison."""

    def __init__(self, connection: Connection, placed: Sequence[Placed]) -> None:
        self._connection = connection
        self._oids = {each.oid for each in placed}
        self._secret: dict[str, bool] = {}
        """Hash of a content -> whether it holds a digest where a secret was."""

    def owned(self) -> set[tuple[str, str, str]]:
        rows = self._connection.execute(select(_OWNED.c.oid, _OWNED.c.section, _OWNED.c.name))
        return {(row[0], row[1], row[2]) for row in rows if row[0] in self._oids}

    def without_key(self, drift: Drift) -> Drift:
        """A record with a secret cannot be compared without the key that digests secrets."""
        if drift.drift != "changed" or drift.before is None:
            return drift
        digest = drift.before.body
        if digest not in self._secret:
            body = self._connection.execute(
                select(_CONTENT.c.body).where(_CONTENT.c.hash == digest)
            ).scalar_one()
            self._secret[digest] = has_secret(json.loads(unpack(body)))
        return replace(drift, drift="unreadable") if self._secret[digest] else drift

    def freshness(self, unread: set[str]) -> tuple[int | None, tuple[tuple[str, str], ...]]:
        """The age of the oldest reading, and which organizations could not be read again."""
        rows = self._connection.execute(
            select(_SYNC.c.oid, _SYNC.c.checked_at, _SYNC.c.failure, _SYNC.c.reason).where(
                _SYNC.c.subject == "configuration"
            )
        ).fetchall()
        times = [at for oid, at, _, _ in rows if at is not None and oid in self._oids]
        failed = tuple(
            (oid, why or word)
            for oid, _, word, why in rows
            if word and oid in self._oids and oid not in unread
        )
        return min(times, default=None), failed

    def extras(self, ready: Sequence[Placed], owned: Iterable[tuple[str, str, str]]) -> Iterator[Drift]:
        """Records in sections that templates have something in, which no template wants."""
        mine: dict[str, set[str]] = {}
        for oid, section, _ in owned:
            mine.setdefault(oid, set()).add(section)
        sections_of: dict[str, frozenset[str]] = {}
        wanting: dict[str, list[Placed]] = {}
        for each in ready:
            if each.wanted.hash not in sections_of:
                keys = (*each.wanted.records, *each.wanted.own)
                sections_of[each.wanted.hash] = frozenset(section for section, _ in keys) - {"resource"}
            wanting.setdefault(each.wanted.hash, []).append(each)
        by_oid = {
            each.oid: (each.wanted, sections_of[each.wanted.hash] | mine.get(each.oid, set()) - {"resource"})
            for each in ready
        }
        for section in sorted(frozenset[str]().union(*(each for _, each in by_oid.values()))):
            for oid, name, digest, said, etag in self._unwanted(
                section, [each[0].wanted for each in wanting.values()]
            ):
                found = by_oid.get(oid)
                if found is None or section not in found[1]:
                    continue
                form, called = self._form(section, name, digest)
                if (section, called) in found[0].records or (section, called) in found[0].own:
                    continue
                metadata = normalised_metadata(json.loads(said) if said else None)
                yield Drift(oid, section, called, "extra", Observed(form, metadata, etag, digest), None)

    def _unwanted(self, section: str, sets: Sequence[WantedSet]) -> Iterator[Any]:
        """The records of a section but for those that every set wants."""
        columns = (
            _RECORD.c.oid, _RECORD.c.name, _RECORD.c.hash, cast(_RECORD.c.metadata, Text), _RECORD.c.etag,
        )  # fmt: skip
        query = select(*columns).where(_RECORD.c.section == section, _RECORD.c.valid_to.is_(None))
        if not section.startswith("hive/"):
            yield from self._connection.execute(query)
            return
        every: set[str] | None = None
        for one in sets:
            names = {name for each, name in (*one.records, *one.own) if each == section}
            every = names if every is None else every & names
        # Of the index alone: names are few where customers are alike, however many records there are.
        listed = self._connection.execute(
            select(_RECORD.c.name).where(_RECORD.c.section == section).distinct()
        )
        candidates = sorted({row[0] for row in listed} - (every or set()))
        for at in range(0, len(candidates), CHUNK):
            yield from self._connection.execute(query.where(_RECORD.c.name.in_(candidates[at : at + CHUNK])))

    def _form(self, section: str, name: str, digest: str) -> tuple[str, str]:
        if section.startswith("hive/"):
            return digest, name
        held = self._connection.execute(select(_CONTENT.c.body).where(_CONTENT.c.hash == digest)).scalar_one()
        body = json.loads(unpack(held))
        called = observed_name(section, name, body)
        return content_hash(normalised(section, called, body)), called


# The heat table


@dataclass(frozen=True, slots=True)
class HeatColumn:
    """Organizations that deviate in exactly the same."""

    oids: tuple[str, ...]
    name: Untrusted
    """Of the first of them."""
    drifts: int
    """Deviations of each."""
    weight: int


@dataclass(frozen=True, slots=True)
class HeatLine:
    """A record, and how it is in each column."""

    section: str
    name: str
    what: str
    cells: Mapping[int, DriftClass]
    """Number of the column -> class."""
    organizations: int
    """That deviate in it."""
    worst: DriftClass
    weight: int


@dataclass(frozen=True, slots=True)
class Heat:
    """Records by organizations, the worst first both ways."""

    columns: tuple[HeatColumn, ...]
    lines: tuple[HeatLine, ...]
    well: int
    """Organizations without any deviation."""


def heat(found: Report) -> Heat:
    """Fold what stands into a table."""
    by_oid: dict[str, list[Drift]] = {}
    for each in found.drifts:
        if each.standing:
            by_oid.setdefault(each.oid, []).append(each)
    alike: dict[tuple[tuple[str, str, DriftClass], ...], list[str]] = {}
    for oid in found.organizations:
        if some := by_oid.get(oid):
            alike.setdefault(tuple((each.section, each.name, each.drift) for each in some), []).append(oid)
    columns = sorted(
        (
            (HeatColumn(
                tuple(oids), found.organizations[oids[0]], len(same),
                sum(WEIGHTS[word] for _, _, word in same),
            ), same)
            for same, oids in alike.items()
        ),
        key=lambda each: (-each[0].weight, -len(each[0].oids)),
    )  # fmt: skip
    cells: dict[Key, dict[int, DriftClass]] = {}
    for number, (_, same) in enumerate(columns):
        for section, name, word in same:
            cells.setdefault((section, name), {})[number] = word
    sizes = [len(each.oids) for each, _ in columns]
    lines = []
    for key, held in cells.items():
        weight = sum(WEIGHTS[word] * sizes[number] for number, word in held.items())
        worst = min(held.values(), key=CLASSES.index)
        what = Drift("", *key, worst, None, None).what
        lines.append(HeatLine(*key, what, held, sum(sizes[number] for number in held), worst, weight))
    lines.sort(key=lambda each: (-each.weight, each.section, each.name))
    return Heat(tuple(each for each, _ in columns), tuple(lines), len(found.organizations) - len(by_oid))


# Who did it


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who made a record what it is."""

    by: Untrusted
    at: int | None
    """Milliseconds; None when it is not known."""
    source: str
    """`audit` (a line of the audit log), `record` (the record itself says so), `reading` (it was seen to have
    changed between two readings), `` when nothing tells."""
    said: Untrusted
    """The message of the audit log; "" where it is not from there."""


def attributed(connection: Connection, drifts: Iterable[Drift]) -> dict[tuple[str, str, str], Attribution]:
    """Who changed records last, and when: from the audit log, else from the record, else from the readings.

    Returns:
        (oid, section, name) -> who; nothing for those of which nothing tells.
    """
    wanted: dict[str, list[Drift]] = {}
    for each in drifts:
        if each.key != WHOLE:
            wanted.setdefault(each.oid, []).append(each)
    found: dict[tuple[str, str, str], Attribution] = {}
    for oid, some in wanted.items():
        told = _told(connection, oid, {_entity(each): each for each in some})
        for each in some:
            mark = (oid, each.section, each.name)
            if _entity(each) in told:
                found[mark] = told[_entity(each)]
            elif (held := _recorded(connection, each)) is not None:
                found[mark] = held
    return found


def _entity(drift: Drift) -> tuple[str, str]:
    """How an entry of the audit log names a record: hive records by `hive` and `HIVE/NAME`."""
    if drift.section.startswith("hive/"):
        return "hive", f"{drift.section[5:]}/{drift.name}"
    return drift.section, drift.name


def _told(
    connection: Connection, oid: str, wanted: Mapping[tuple[str, str], Drift]
) -> dict[tuple[str, str], Attribution]:
    rows = connection.execute(
        select(_AUDIT.c.time, _AUDIT.c.actor, _AUDIT.c.message, _AUDIT.c.details)
        .where(_AUDIT.c.oid == oid)
        .order_by(_AUDIT.c.time.desc(), _AUDIT.c.digest)
        .limit(AUDIT_LOOKED_AT)
    )
    found: dict[tuple[str, str], Attribution] = {}
    for row in rows:
        entity = row.details.get("entity") if isinstance(row.details, Mapping) else None
        if not isinstance(entity, Mapping):
            continue
        mark = str(entity.get("type", "")), str(entity.get("name", ""))
        if mark in wanted and mark not in found:
            found[mark] = Attribution(Untrusted(row.actor), row.time, "audit", Untrusted(row.message))
            if len(found) == len(wanted):
                break
    return found


def _recorded(connection: Connection, drift: Drift) -> Attribution | None:
    """What the newest version of a record that was read says of itself."""
    if drift.section == "installation_key":
        return None
    name = drift.name.partition("/")[2] if drift.section == "yara" else drift.name
    row = connection.execute(
        select(_RECORD.c.author, _RECORD.c.modified, _RECORD.c.valid_from, _RECORD.c.valid_to)
        .where(_RECORD.c.oid == drift.oid, _RECORD.c.section == drift.section, _RECORD.c.name == name)
        .order_by(_RECORD.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    if row.valid_to is not None:
        return Attribution(Untrusted(""), row.valid_to, "reading", Untrusted(""))
    if row.author or row.modified:
        return Attribution(Untrusted(row.author), row.modified, "record", Untrusted(""))
    return Attribution(Untrusted(""), row.valid_from, "reading", Untrusted(""))


# Rules that are almost the same


@dataclass(frozen=True, slots=True)
class Alike:
    """Records of several names or organizations with the same content."""

    section: str
    names: tuple[tuple[str, int], ...]
    """(name, in how many organizations), the most first."""
    organizations: int
    bodies: int
    """Different contents among them, before names and texts are left out."""
    wanted: bool
    """Whether a template wants a record of one of these names."""


RULES = ("hive/dr-general", "hive/dr-managed", "hive/fp", "hive/query", "hive/yara")
"""Sections in which near duplicates are looked for."""

_WORDS = frozenset({"name", "description", "comment", "author", "title", "metadata", "tests", "tags"})
"""Parts of a rule that say nothing of what it does."""


def alike(connection: Connection, *, scope: str = "") -> list[Alike]:
    """Rules over organizations that do the same under several names, or in almost the same words.

    Two are the same when their contents are once descriptions, tests and letters' case in operators' values
    are left out, lists that mean a set are sorted, and spaces are single. What is the same under one name
    everywhere is no duplicate.
    """
    below = oids_of(connection, scope)
    query = select(_RECORD.c.section, _RECORD.c.name, _RECORD.c.hash, _RECORD.c.oid).where(
        _RECORD.c.section.in_(RULES), _RECORD.c.valid_to.is_(None)
    )
    if below is not None:
        query = query.where(_RECORD.c.oid.in_(below))
    holders: dict[tuple[str, str, str], set[str]] = {}
    for section, name, digest, oid in connection.execute(query):
        holders.setdefault((section, digest, name), set()).add(oid)
    digests = sorted({digest for _, digest, _ in holders})
    forms: dict[str, str] = {}
    for at in range(0, len(digests), CHUNK):
        rows = connection.execute(
            select(_CONTENT.c.hash, _CONTENT.c.body).where(_CONTENT.c.hash.in_(digests[at : at + CHUNK]))
        )
        forms |= {row.hash: essence(json.loads(unpack(row.body))) for row in rows}
    groups: dict[tuple[str, str], list[tuple[str, str, set[str]]]] = {}
    for (section, digest, name), oids in holders.items():
        groups.setdefault((section, forms[digest]), []).append((name, digest, oids))
    wants = {key for each in wanted(connection, scope, NO_KEY) for key in each.wanted.records}
    found = []
    for (section, _), some in groups.items():
        names: dict[str, set[str]] = {}
        for name, _, oids in some:
            names.setdefault(name, set()).update(oids)
        if len(names) < 2 and len({digest for _, digest, _ in some}) < 2:
            continue
        listed = sorted(
            ((name, len(oids)) for name, oids in names.items()), key=lambda each: (-each[1], each[0])
        )
        found.append(
            Alike(
                section,
                tuple(listed),
                len(set().union(*names.values())),
                len({digest for _, digest, _ in some}),
                any((section, name) in wants for name in names),
            )
        )
    return sorted(found, key=lambda each: (-each.organizations, each.section, each.names))


def essence(body: Any) -> str:
    """What a rule does, as text: equal for rules that differ in words, order or spaces alone."""
    return json.dumps(_essence(body), sort_keys=True, ensure_ascii=False)


def _essence(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _essence(each) for name, each in value.items() if str(name).lower() not in _WORDS}
    if isinstance(value, list):
        # `rules` of and/or, `respond`, lists of values: an order is never meant.
        return sorted((_essence(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    return value


def diff_of(connection: Connection, found: Report, drift: Drift, key: bytes | None) -> list[Difference]:
    """How a record differs from what is wanted, part by part: from what is wanted to what is there.

    Args:
        key: as of `report`.
    """
    if drift.before is None or drift.after is None:
        return []
    (wants, wanted_metadata), (has, metadata) = sides_of(connection, found, drift, key)
    parts = differences(wants, has)
    if drift.after.metadata is not None:
        parts += differences(wanted_metadata, metadata)
    return parts


Side = tuple[Any, dict[str, Any]]
"""Content, None where there is none, and metadata; secrets are digests."""


def sides_of(connection: Connection, found: Report, drift: Drift, key: bytes | None) -> tuple[Side, Side]:
    """What is wanted, and what is there; arguments as of `diff_of`."""
    change = drift.change
    return wanted_of(found.placed[drift.oid], change, key or NO_KEY), before_of(connection, change)


def at(found: Report, oid: str, key: Key) -> Drift | None:
    """The deviation of one record of one organization; None when it is as wanted."""
    return next((each for each in found.drifts if each.oid == oid and each.key == key), None)
