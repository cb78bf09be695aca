"""Folds and storms: which alerts are shown as one row, and what such a row adds up to.

Alerts of one organization that share their rule (`source_rule`, else `cat`) and the salient values that the
rule's fold key names are one `Fold`. Folds of several organizations with the same rule and values are one
`Storm`, for display only. Both are kept exactly, in the transaction that writes their members: `assign`
counts new ones in, `recount` counts again after states changed, `rebuild` sorts the alerts anew after a key
was edited. Every function that takes a connection wants one of `Store.writing()`.
"""

import hashlib
import json
import re
from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, RowMapping, Table, and_, case, delete, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from store import models, preferences
from store.alerts import WOKEN
from store.bodies import storable, unpack
from store.errors import StoreDamaged
from store.observables import EventWords, event_words, folded

INDICATOR: Final = "indicator"
"""What the alert is about, as `values_of` finds it."""

FIELDS: Final[tuple[str, ...]] = (
    INDICATOR, "host", "user", "hash", "path", "command", "parent", "target", "registry", "domain", "address",
    "url", "event_type",
)  # fmt: skip
"""What a fold key may name."""

DEFAULT: Final[tuple[str, ...]] = (INDICATOR,)
"""The fold key of every rule that has none of its own.

One tool that does the same on many machines is one row, and the same rule with another tool is another:
an indicator is the file's hash (its path where no hash is known) together with the command line, and only
where neither is there, what was contacted. Host and user are left out, because they are what a storm has
many of.
"""

ALL: Final = "*"
"""Names, as a rule, every rule without a fold key of its own."""

HOURS: Final = 6
"""So many hours are counted apart, for the rate."""
HOUR: Final = 3_600_000
"""Milliseconds."""

WINDOW: Final = 500
"""Alerts that one transaction of a rebuild sorts anew."""

PENDING: Final = "folds.rebuild"
"""Preference: which rules' alerts have still to be sorted anew, from where, and up to where."""

CLOSE: Final = "close"
"""The verb of `TriageAction` that gives a classification."""

STATE: Final[tuple[str, ...]] = (
    "id", "fold_id", "time", "status", "rank", "due_at", "snoozed_until", "classification", "assignee",
    "acknowledged_at", "resolved_at",
)  # fmt: skip
"""Columns of `detection` that a fold is counted from."""

_UNTOLD: Final = 2**31 - 1
"""`Snooze.more` while the alerts are sorted anew: nothing wakes it by count."""

_FEW: Final = 300
"""Of a fold with so many open members, all are read to find the worst; of a larger one, indexes are asked."""

_LONGEST: Final = 1_000
"""Characters of one salient value; of a longer one the rest is told by its hash."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_FOLD: Table = models.Fold.__table__  # type: ignore[attr-defined]
_STORM: Table = models.Storm.__table__  # type: ignore[attr-defined]
_KEY: Table = models.FoldKey.__table__  # type: ignore[attr-defined]
_SNOOZE: Table = models.Snooze.__table__  # type: ignore[attr-defined]
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_CHANGE: Table = models.TriageChange.__table__  # type: ignore[attr-defined]

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()
_JSON: Final = ("salient", "assignees", "hours")
_EMPTY: Final = {"salient": "[]", "assignees": "{}", "hours": "{}"}
_SHAPES: Final[dict[str, Any]] = {
    table.name: namedtuple(table.name, [column.name for column in table.columns]) for table in (_FOLD, _STORM)
}
"""Rows as `_held` answers them."""

_CHUNK: Final = 500
_HALVES: Final = (text("detection.status < 2"), text("detection.status >= 2"))
"""Spelled as the partial indexes spell them."""

_HOMES = re.compile(
    r"((?:\b[a-z]:)?[\\/](?:users|home)[\\/])(?!public[\\/]|default[\\/]|shared[\\/])[^\\/\"'\s]+"
)

Values = Mapping[str, str]
"""What a detection says for each of FIELDS but the indicator; what it does not say is left out."""
Salient = list[list[str]]
"""[[field, value], ...]"""


class Identity(NamedTuple):
    """What makes alerts of one organization one fold, and folds one storm."""

    key: int
    rule: str
    cat: str
    salient: Salient


# Which fold an alert belongs to: pure


def values_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What a detection says for the fields of a fold key, in the spelling under which equal ones are equal.

    Case does not count. The name of a user's own directory in a path or command line is `*`: the same
    program in two profiles is the same program.
    """
    words: EventWords = event_words(record)
    path, url = str(words.path), str(words.url)
    if "://" in path:  # documents of Office 365 are named by their address
        path, url = "", url or path
    found = {
        "host": folded("host", words.host),
        "user": folded("user", words.user),
        "hash": folded("hash", words.hash),
        "path": _anybody(folded("path", path)),
        "command": _anybody(folded("command", words.command_line)),
        "parent": _anybody(folded("path", words.parent)),
        "target": _anybody(folded("path", words.target)),
        "registry": folded("command", words.registry),
        "domain": folded("domain", words.domain),
        "address": folded("address", words.address),
        "url": folded("url", url),
        "event_type": words.event_type,
    }
    return {name: _bounded(value) for name, value in found.items() if value}


def values_in(body: bytes) -> dict[str, str]:
    """The same of a detection as it was received; none of one that is no JSON object."""
    try:
        record = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    return values_of(record) if isinstance(record, dict) else {}


def salient_of(values: Values, fields: Sequence[str]) -> Salient:
    """What of these values a fold key keeps, in the order of FIELDS."""
    wanted: set[str] = set()
    for name in fields:
        wanted.update(_indicator(values) if name == INDICATOR else (name,))
    return [[name, values[name]] for name in FIELDS if name in wanted and name in values]


def identity_of(values: Values, rule: str, cat: str, fields: Sequence[str]) -> Identity:
    """The fold of an alert with these values; the organization aside."""
    salient = salient_of(values, fields)
    return Identity(_key_of(rule or cat, salient), rule, cat, salient)


def fold_of(
    record: Mapping[str, Any], rule: str, cat: str, fields: Sequence[str] = DEFAULT
) -> tuple[int, Salient]:
    """The storm key of a detection, and the salient values.

    Args:
        record: a detection as received.
        rule: `source_rule`.
        cat: counts where there is no rule.
        fields: of FIELDS.
    """
    found = identity_of(values_of(record), rule, cat, fields)
    return found.key, found.salient


def _indicator(values: Values) -> tuple[str, ...]:
    what = "hash" if "hash" in values else "path"
    if what in values or "command" in values:
        return (what, "command")
    if "registry" in values:
        return ("registry",)
    # A web server's log names the server itself as domain.
    others = ("address", "domain") if "url" in values else ("domain", "address")
    return next(((name,) for name in (*others, "url", "user") if name in values), ())


def _key_of(rule: str, salient: Salient) -> int:
    digest = hashlib.blake2b(_ENCODER.encode([storable(rule), salient]), digest_size=8).digest()
    return int.from_bytes(digest) >> 11 or 1


def _anybody(value: str) -> str:
    return _HOMES.sub(r"\1*", value) if "users" in value or "home" in value else value


def _bounded(value: str) -> str:
    value = storable(value)
    if len(value) <= _LONGEST:
        return value
    rest = hashlib.blake2b(value.encode(), digest_size=16).hexdigest()
    return f"{value[:_LONGEST]} ({len(value)} characters, {rest})"


# Fold keys


def keys(c: Connection) -> dict[str, tuple[str, ...]]:
    """The fold keys that were set: rule -> fields."""
    return {
        row.rule: tuple(name for name in row.fields if name in FIELDS)
        for row in c.execute(select(_KEY.c.rule, _KEY.c.fields))
    }


def fields_for(known: Mapping[str, tuple[str, ...]], rule: str) -> tuple[str, ...]:
    """The fields that hold for a rule (`source_rule`, else `cat`)."""
    return known.get(rule, known.get(ALL, DEFAULT))


def set_key(
    c: Connection, rule: str, fields: Sequence[str] | None, *, by: str, at: int
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Set the fold key of a rule, or of ALL; None takes its own key away. `rebuild` has to follow.

    Returns:
        Its own fields before and after, None where it had or has none; nothing is written when they are the
        same.
    """
    known = keys(c)
    own = known.get(rule)
    wanted = None if fields is None else tuple(name for name in FIELDS if name in fields)
    if wanted == own:
        return own, own
    if wanted is None:
        c.execute(delete(_KEY).where(_KEY.c.rule == rule))
    else:
        values = {"fields": list(wanted), "by": by, "at": at}
        upsert = _insert(c, _KEY).values(rule=rule, **values)
        c.execute(upsert.on_conflict_do_update(index_elements=["rule"], set_=values))
    if fields_for(keys(c), rule) != fields_for(known, rule):
        _ask(c, rule)
    return own, wanted


# What a fold adds up to


@dataclass(slots=True)
class _Sums:
    """What some alerts add up to; two of them can be added."""

    total: int = 0
    open: int = 0
    first_seen: int = 0
    last_seen: int = 0
    rank: int = -1
    last_open: int = 0
    due_at: int | None = None
    assignees: dict[str, int] = field(default_factory=dict)
    hours: dict[str, int] = field(default_factory=dict)
    true_positives: int = 0
    false_positives: int = 0
    last_true_at: int | None = None
    verdict: tuple[int, int, int] | None = None
    """(when, alert, classification)"""
    verdict_by: str = ""
    spent: int = 0

    def take(self, row: Mapping[str, Any] | RowMapping) -> None:
        """Count one alert in: a row of `detection`."""
        moment = row["time"]
        self.first_seen = min(self.first_seen, moment) if self.total else moment
        self.last_seen = max(self.last_seen, moment) if self.total else moment
        self.total += 1
        hour = str(moment // HOUR)
        self.hours[hour] = self.hours.get(hour, 0) + 1
        if row["status"] < 2 and row.get("snoozed_until") is None:
            self.open += 1
            self.rank = max(self.rank, row["rank"])
            self.last_open = max(self.last_open, moment)
            self.due_at = _least(self.due_at, row.get("due_at"))
            if row["assignee"]:
                self.assignees[row["assignee"]] = self.assignees.get(row["assignee"], 0) + 1
        resolved, acknowledged = row.get("resolved_at"), row.get("acknowledged_at")
        if resolved is not None and acknowledged is not None:
            self.spent += max(0, resolved - acknowledged)
        if row["classification"]:
            at = moment if resolved is None else resolved
            self.true_positives += row["classification"] == 1
            self.false_positives += row["classification"] == 2
            if row["classification"] == 1:
                self.last_true_at = at if self.last_true_at is None else max(self.last_true_at, at)
            self.verdict = max(self.verdict or (at, row["id"], 0), (at, row["id"], row["classification"]))

    def add(self, other: "_Sums") -> None:
        """Count in what others add up to."""
        if not other.total:
            return
        self.first_seen = min(self.first_seen, other.first_seen) if self.total else other.first_seen
        self.last_seen = max(self.last_seen, other.last_seen) if self.total else other.last_seen
        self.total += other.total
        self.open += other.open
        self.rank = max(self.rank, other.rank)
        self.last_open = max(self.last_open, other.last_open)
        self.due_at = _least(self.due_at, other.due_at)
        for name, count in other.assignees.items():
            self.assignees[name] = self.assignees.get(name, 0) + count
        for hour, count in other.hours.items():
            self.hours[hour] = self.hours.get(hour, 0) + count
        self.true_positives += other.true_positives
        self.false_positives += other.false_positives
        if other.last_true_at is not None:
            self.last_true_at = max(self.last_true_at or 0, other.last_true_at)
        if other.verdict is not None and (self.verdict is None or other.verdict[:2] > self.verdict[:2]):
            self.verdict, self.verdict_by = other.verdict, other.verdict_by
        self.spent += other.spent

    def without(self, lost: "_Sums", gained: "_Sums") -> bool:
        """Take out what some of these alerts added up to, and count in what they add up to now.

        Returns:
            Whether the worst, the newest or the earliest due may be another one now that is not known here.
        """
        self.open += gained.open - lost.open
        self.true_positives += gained.true_positives - lost.true_positives
        self.false_positives += gained.false_positives - lost.false_positives
        self.spent += gained.spent - lost.spent
        for name, count in gained.assignees.items():
            self.assignees[name] = self.assignees.get(name, 0) + count
        for name, count in lost.assignees.items():
            self.assignees[name] -= count
            if not self.assignees[name]:
                del self.assignees[name]
        unsure = (
            self.rank == lost.rank > gained.rank
            or self.last_open == lost.last_open > gained.last_open
            or (lost.due_at is not None and self.due_at == lost.due_at != gained.due_at)
        )
        self.rank = max(self.rank, gained.rank)
        self.last_open = max(self.last_open, gained.last_open)
        self.due_at = _least(self.due_at, gained.due_at)
        return unsure

    def unjudged(self, lost: "_Sums", gained: "_Sums") -> bool:
        """Count in the verdicts that some of these alerts have now in place of those that they had.

        Returns:
            Whether the last verdict was among those that are gone, so that another one is the last now.
        """
        gone = (
            self.verdict is not None
            and lost.verdict is not None
            and self.verdict[:2] == lost.verdict[:2] > (gained.verdict or (-1, 0))[:2]
        ) or (
            lost.last_true_at is not None
            and self.last_true_at == lost.last_true_at > (gained.last_true_at or -1)
        )
        if gained.verdict is not None and (self.verdict is None or gained.verdict[:2] >= self.verdict[:2]):
            self.verdict, self.verdict_by = gained.verdict, gained.verdict_by
        if gained.last_true_at is not None:
            self.last_true_at = max(self.last_true_at or 0, gained.last_true_at)
        return gone

    def both(self) -> dict[str, Any]:
        """The columns that a fold and a storm have."""
        at, alert, classification = self.verdict or (None, None, 0)
        lowest = self.last_seen // HOUR - HOURS
        return {
            "total": self.total, "open": self.open, "rank": self.rank, "last_open": self.last_open,
            "first_seen": self.first_seen, "last_seen": self.last_seen, "due_at": self.due_at,
            "assignees": self.assignees,
            "hours": {hour: count for hour, count in self.hours.items() if int(hour) > lowest},
            "last_verdict": classification, "last_verdict_at": at, "last_verdict_alert": alert,
            "last_verdict_by": self.verdict_by,
        }  # fmt: skip

    def alone(self) -> dict[str, Any]:
        """The columns that only a fold has."""
        return {
            "true_positives": self.true_positives, "false_positives": self.false_positives,
            "last_true_at": self.last_true_at, "spent": self.spent,
        }  # fmt: skip


def _sums(row: Any) -> _Sums:
    """Of a row of `fold` or `storm`."""
    verdict = None
    if row.last_verdict:
        verdict = (row.last_verdict_at, row.last_verdict_alert, row.last_verdict)
    return _Sums(
        total=row.total, open=row.open, first_seen=row.first_seen, last_seen=row.last_seen, rank=row.rank,
        last_open=row.last_open, due_at=row.due_at, assignees=dict(row.assignees), hours=dict(row.hours),
        true_positives=getattr(row, "true_positives", 0), false_positives=getattr(row, "false_positives", 0),
        last_true_at=getattr(row, "last_true_at", None), verdict=verdict, verdict_by=row.last_verdict_by,
        spent=getattr(row, "spent", 0),
    )  # fmt: skip


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


# New alerts


def assign(
    c: Connection,
    oid: str,
    rows: Sequence[dict[str, Any]],
    values: Sequence[Values],
    usual: Sequence[Identity | None] | None = None,
) -> None:
    """Give new alerts of an organization their fold, and count them in.

    Args:
        rows: of `detection`, about to be inserted, every one of them; `fold_id` is set in each.
        values: of each, as `values_of` finds them.
        usual: the identity of each under the DEFAULT key, where it was worked out before there was a lock.
    """
    known = keys(c)
    identities = []
    for row, each, ready in zip(rows, values, usual or [None] * len(rows), strict=True):
        rule, cat = row["rule"], row["cat"]
        fields = fields_for(known, rule or cat) if known else DEFAULT
        if ready is None or fields is not DEFAULT:
            ready = identity_of(each, rule, cat, fields)
        identities.append(ready)
    for row, fold_id in zip(rows, _count_in(c, oid, rows, identities), strict=True):
        row["fold_id"] = fold_id


def _count_in(
    c: Connection,
    oid: str,
    rows: Sequence[Mapping[str, Any] | RowMapping],
    identities: Sequence[Identity],
    decided: Mapping[int, str] = MappingProxyType({}),
) -> list[int]:
    """Count alerts into their folds and storms, which are made where they are missing; answers the folds.

    Args:
        decided: alert -> who classified it, of those that are.
    """
    storms, identities = _storms(c, identities)
    groups: dict[int, tuple[Identity, _Sums]] = {}
    for row, identity in zip(rows, identities, strict=True):
        group = groups.get(identity.key)
        if group is None:
            group = groups[identity.key] = (identity, _Sums())
        group[1].take(row)
    folds: dict[int, Any] = {}
    for part in _chunks(list(groups)):
        folds.update((row.storm, row) for row in _held(c, _FOLD, "storm", part, oid))
    numbers = iter(_numbers(c, len(groups) - len(folds)))
    ids: dict[int, int] = {}
    fold_rows, storm_rows = [], []
    for key, (identity, gained) in groups.items():
        fold, storm = folds.get(key), storms.get(key)
        was_open = 0 if fold is None else fold.open
        if gained.verdict is not None:
            gained.verdict_by = decided.get(gained.verdict[1], "")
        whole = gained if fold is None else _sums(fold)
        if fold is not None:
            whole.add(gained)
        ids[key] = next(numbers) if fold is None else fold.id
        first = identity if fold is None else fold
        fold_rows.append(
            {"id": ids[key], "oid": oid, "storm": key, "cat": first.cat, "rule": first.rule}
            | whole.both() | whole.alone()
        )  # fmt: skip
        over = gained if storm is None else _sums(storm)
        if storm is not None:
            over.add(gained)
        organizations = 0 if storm is None else storm.organizations
        alone = 0 if storm is None else storm.fold_id
        if whole.open and not was_open:
            organizations += 1
            alone = ids[key] if organizations == 1 else 0
        named = identity if storm is None else storm
        storm_rows.append(
            {"key": key, "cat": named.cat, "rule": named.rule, "salient": identity.salient}
            | {"organizations": organizations, "fold_id": alone} | over.both()
        )  # fmt: skip
    _put(c, _FOLD, "id", fold_rows)
    _put(c, _STORM, "key", storm_rows)
    return [ids[identity.key] for identity in identities]


def _storms(c: Connection, identities: Sequence[Identity]) -> tuple[dict[int, Any], list[Identity]]:
    """The storms that are there, by key, and the identities with the keys that hold.

    Two different storms could be made to have the same key, and a harmless alert to stand for another: the
    one that comes second gets the next key.
    """
    known: dict[int, Any] = {}
    asked: set[int] = set()
    taken: dict[int, tuple[str, Salient]] = {}
    settled = list(identities)
    while True:
        missing = {identity.key for identity in settled} - asked
        if not missing:
            return known, settled
        for part in _chunks(sorted(missing)):
            for row in _held(c, _STORM, "key", part):
                known[row.key] = row
                taken[row.key] = (row.rule or row.cat, row.salient)
        asked |= missing
        for at, identity in enumerate(settled):
            key, what = identity.key, (identity.rule or identity.cat, identity.salient)
            while key in asked and taken.setdefault(key, what) != what:
                key = key + 1 if key < 2**53 - 1 else 1
            if key != identity.key:
                settled[at] = identity._replace(key=key)


def _held(c: Connection, table: Table, column: str, keys_: Sequence[int], oid: str = "") -> Iterable[Any]:
    """The rows of `fold` or `storm` with these keys, those of one organization if it is named.

    On SQLite beneath SQLAlchemy, as in `_put`: much of ingest's time would be the handling of these rows.
    """
    if c.dialect.name != "sqlite":
        wanted = select(table).where(table.c[column].in_(keys_))
        return c.execute(wanted if not oid else wanted.where(table.c.oid == oid)).all()
    shape = _SHAPES[table.name]
    condition, bound = f"{column} IN (SELECT value FROM json_each(?))", [_ENCODER.encode(keys_).decode()]
    if oid:
        condition, bound = f"oid = ? AND {condition}", [oid, *bound]
    found = c.exec_driver_sql(
        f"SELECT {', '.join(shape._fields)} FROM {table.name} WHERE {condition}", tuple(bound)
    ).all()
    return list(map(shape._make, zip(*map(_read, shape._fields, zip(*found, strict=True)), strict=True)))


def _read(name: str, values: Iterable[Any]) -> Iterable[Any]:
    """A column as it came from the database, read."""
    return map(_DECODER.decode, values) if name in _JSON else values


def _numbers(c: Connection, count: int) -> Iterable[int]:
    """Ids for so many new folds."""
    if not count:
        return ()
    if c.dialect.name == "sqlite":
        last = c.execute(select(func.max(_FOLD.c.id))).scalar_one() or 0
        return range(last + 1, last + count + 1)
    return c.execute(
        text("SELECT nextval(pg_get_serial_sequence('fold', 'id')) FROM generate_series(1, :count)"),
        {"count": count},
    ).scalars()


def _put(c: Connection, table: Table, key: str, rows: list[dict[str, Any]]) -> None:
    """Write whole rows, whether they were there or not.

    Beneath SQLAlchemy where that can be, as bodies are: going through each row's names costs more than
    writing it. Nobody has to be told: folds are written with their detections only.
    """
    if not rows:
        return
    names = list(rows[0])
    if c.dialect.name != "sqlite":
        upsert = postgresql.insert(table)
        changing = {name: upsert.excluded[name] for name in names if name != key}
        c.execute(upsert.on_conflict_do_update(index_elements=[key], set_=changing), rows)
        return
    for row in rows:
        for name in _JSON:
            if name in row:
                row[name] = _ENCODER.encode(row[name]).decode() if row[name] else _EMPTY[name]
    c.exec_driver_sql(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
        f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names[1:])}",
        rows,
    )


# Alerts that changed their state


def changed(c: Connection, before: Sequence[Mapping[str, Any] | Row[Any]]) -> None:
    """Bring folds and storms up to date after alerts changed their state; as exact as `recount`, and quicker.

    To be called in the transaction that changed them, after `TriageChange` says what was done.

    Args:
        before: rows of `detection` as they were, by name or in the order of STATE; what they are now is
            read here.
    """
    rows = [tuple(row[name] for name in STATE) if isinstance(row, Mapping) else row for row in before]
    old = {row[0]: row for row in rows if row[1]}
    if not old:
        return
    after: dict[int, Row[Any]] = {}
    for part in _chunks(list(old)):
        found = c.execute(select(*(_D.c[name] for name in STATE)).where(_D.c.id.in_(part)))
        after.update((row[0], row) for row in found)
    left = _by_fold(old[number] for number in after)
    came = _by_fold(after.values())
    moves = {fold_id: (left[fold_id], came[fold_id]) for fold_id in left}
    folds: dict[int, Any] = {}
    for part in _chunks(list(moves)):
        folds.update((row.id, row) for row in c.execute(select(_FOLD).where(_FOLD.c.id.in_(part))))
    new: dict[int, _Sums] = {}
    unsure: list[int] = []
    undecided: list[int] = []
    for fold_id, fold in folds.items():
        lost, gained = moves[fold_id]
        sums = new[fold_id] = _sums(fold)
        if sums.without(lost, gained):
            unsure.append(fold_id)
        if sums.unjudged(lost, gained):
            undecided.append(fold_id)
    _find_extremes(c, new, unsure)
    judged = {sums.verdict[1]: sums for sums in new.values() if sums.verdict and sums.verdict[1] in after}
    for alert, who in _deciders(c, sorted(judged)).items():
        judged[alert].verdict_by = who
    if undecided:
        for fold_id, sums in _summed(c, undecided, moved=False).items():
            sums.hours = new[fold_id].hours
            new[fold_id] = sums
    _put(
        c,
        _FOLD,
        "id",
        [
            {"id": fold_id, "oid": fold.oid, "storm": fold.storm, "cat": fold.cat, "rule": fold.rule}
            | new[fold_id].both() | new[fold_id].alone()
            for fold_id, fold in folds.items()
        ],
    )  # fmt: skip
    _change_storms(c, {fold_id: (_sums(fold), new[fold_id], fold.storm) for fold_id, fold in folds.items()})


def _by_fold(rows: Iterable[Any]) -> dict[int, _Sums]:
    """What the states of some alerts add up to in each fold: as `_Sums.take`, without what no state changes.

    Args:
        rows: in the order of STATE; there are thousands of them in one decision.
    """
    found: dict[int, _Sums] = {}
    for id_, fold, moment, status, rank, due, snoozed, classified, assignee, acknowledged, resolved in rows:
        sums = found.get(fold)
        if sums is None:
            sums = found[fold] = _Sums()
        if status < 2 and snoozed is None:
            sums.open += 1
            if rank > sums.rank:
                sums.rank = rank
            if moment > sums.last_open:
                sums.last_open = moment
            if due is not None and (sums.due_at is None or due < sums.due_at):
                sums.due_at = due
            if assignee:
                sums.assignees[assignee] = sums.assignees.get(assignee, 0) + 1
        if resolved is not None and acknowledged is not None and resolved > acknowledged:
            sums.spent += resolved - acknowledged
        if classified:
            at = moment if resolved is None else resolved
            if classified == 1:
                sums.true_positives += 1
                if sums.last_true_at is None or at > sums.last_true_at:
                    sums.last_true_at = at
            elif classified == 2:
                sums.false_positives += 1
            if sums.verdict is None or (at, id_) > sums.verdict[:2]:
                sums.verdict = (at, id_, classified)
    return found


def _find_extremes(c: Connection, sums: Mapping[int, _Sums], unsure: Iterable[int]) -> None:
    """The worst, the newest and the earliest due of what is left in folds that lost such a member."""
    small = []
    for fold_id in unsure:
        each = sums[fold_id]
        if each.open > _FEW:
            _probe_extremes(c, fold_id, each)
        elif each.open:
            small.append(fold_id)
        else:
            each.rank, each.last_open, each.due_at = -1, 0, None
    for part in _chunks(small):
        found = c.execute(
            select(_D.c.fold_id, func.max(_D.c.rank), func.max(_D.c.time), func.min(_D.c.due_at))
            .where(_D.c.fold_id.in_(part), _HALVES[0], _D.c.snoozed_until.is_(None))
            .group_by(_D.c.fold_id)
        )
        for fold_id, rank, last, due in found:
            sums[fold_id].rank, sums[fold_id].last_open, sums[fold_id].due_at = rank, last, due


def _probe_extremes(c: Connection, fold_id: int, sums: _Sums) -> None:
    """The same of a large fold: each by an index, instead of by reading all members."""
    shown = (_D.c.fold_id == fold_id, _HALVES[0], _D.c.snoozed_until.is_(None))
    newest = []
    for rank in range(WOKEN, -1, -1):
        one = select(_D.c.time).where(*shown, _D.c.rank == rank).order_by(_D.c.time.desc()).limit(1)
        found = c.execute(one).scalar_one_or_none()
        if found is not None:
            newest.append((rank, found))
    sums.rank, sums.last_open = newest[0][0], max(moment for _, moment in newest)
    if sums.due_at is None:
        return
    # None is due before the one that was the earliest, so that a walk from there finds the next one soon. The
    # sign keeps SQLite from reading all members by the other index.
    walked = text("+detection.fold_id = :fold") if c.dialect.name == "sqlite" else text("fold_id = :fold")
    following = (
        select(_D.c.due_at)
        .where(walked, _HALVES[0], _D.c.snoozed_until.is_(None), _D.c.due_at >= sums.due_at)
        .order_by(_D.c.due_at)
        .limit(1)
    )
    sums.due_at = c.execute(following, {"fold": fold_id}).scalar_one_or_none()


def _change_storms(c: Connection, folds: Mapping[int, tuple[_Sums, _Sums, int]]) -> None:
    """Bring storms up to date with what folds were and are: fold -> (before, after, storm)."""
    by_storm: dict[int, list[tuple[_Sums, _Sums]]] = {}
    for was, is_, key in folds.values():
        by_storm.setdefault(key, []).append((was, is_))
    storms: dict[int, Any] = {}
    for part in _chunks(list(by_storm)):
        storms.update((row.key, row) for row in c.execute(select(_STORM).where(_STORM.c.key.in_(part))))
    rows: dict[int, dict[str, Any]] = {}
    unsure, undecided = [], []
    for key, storm in storms.items():
        sums = _sums(storm)
        organizations = storm.organizations
        certain = decided = True
        for was, is_ in by_storm[key]:
            organizations += bool(is_.open) - bool(was.open)
            certain = not sums.without(was, is_) and certain
            decided = not sums.unjudged(was, is_) and decided
        if not decided:
            undecided.append(key)
            continue
        if not certain or organizations != storm.organizations:
            unsure.append(key)
        rows[key] = {
            "key": key, "cat": storm.cat, "rule": storm.rule, "salient": storm.salient,
            "organizations": organizations, "fold_id": storm.fold_id,
        } | sums.both()  # fmt: skip
    for key in unsure:
        rows[key] |= {"rank": -1, "last_open": 0, "due_at": None, "fold_id": 0}
    for part in _chunks(unsure):
        found = c.execute(
            select(
                _FOLD.c.storm, func.max(_FOLD.c.rank), func.max(_FOLD.c.last_open), func.min(_FOLD.c.due_at),
                func.min(_FOLD.c.id),
            )
            .where(_FOLD.c.storm.in_(part), _FOLD.c.open > 0)
            .group_by(_FOLD.c.storm)
        )  # fmt: skip
        for key, rank, last, due, first in found:
            alone = first if rows[key]["organizations"] == 1 else 0
            rows[key] |= {"rank": rank, "last_open": last, "due_at": due, "fold_id": alone}
    _put(c, _STORM, "key", list(rows.values()))
    for part in _chunks(undecided):
        _recount_storms(c, part)


# Counting again


def recount(c: Connection, fold_ids: Iterable[int], *, moved: bool = False) -> None:
    """Count folds, and their storms, again from what their members are now.

    To be called in the transaction that changed them, after `TriageChange` says what was done. One without
    members is deleted; so is a storm without folds.

    Args:
        moved: members came, went or changed their time, and not only their state.
    """
    wanted = sorted({each for each in fold_ids if each})
    storms: set[int] = set()
    for part in _chunks(wanted):
        storms |= _recount(c, part, moved=moved)
    for part in _chunks(sorted(storms)):
        _recount_storms(c, part)


def forget(c: Connection, oid: str) -> int:
    """Take the folds of an organization away, and count its alerts out of the storms; answers how many.

    Its alerts belong to no fold afterwards: they are to be deleted, whole organizations at a time. What a
    storm is called is told by a fold that is left.
    """
    storms = c.execute(select(_FOLD.c.storm).where(_FOLD.c.oid == oid).distinct()).scalars().all()
    c.execute(update(_D).where(_D.c.oid == oid, _D.c.fold_id != 0).values(fold_id=0))
    gone = c.execute(delete(_FOLD).where(_FOLD.c.oid == oid)).rowcount
    for part in _chunks(sorted(storms)):
        _recount_storms(c, part)
        left: dict[int, list[tuple[str, str]]] = {}
        rows = select(_FOLD.c.storm, _FOLD.c.rule, _FOLD.c.cat).where(_FOLD.c.storm.in_(part))
        for row in c.execute(rows.order_by(_FOLD.c.id)):
            left.setdefault(row.storm, []).append((row.rule, row.cat))
        for row in c.execute(select(_STORM.c.key, _STORM.c.rule, _STORM.c.cat).where(_STORM.c.key.in_(part))):
            named = left[row.key]
            if (row.rule, row.cat) not in named:
                rule, cat = named[0]
                c.execute(update(_STORM).where(_STORM.c.key == row.key).values(rule=rule, cat=cat))
    return int(gone)


def recount_next(c: Connection, after: int) -> int | None:
    """Count the folds behind `after` again, some of them; the last id, None when there is none."""
    following = select(_FOLD.c.id).where(_FOLD.c.id > after).order_by(_FOLD.c.id).limit(_CHUNK)
    ids = c.execute(following).scalars().all()
    recount(c, ids, moved=True)
    return max(ids, default=None)


def _recount(c: Connection, ids: Sequence[int], *, moved: bool) -> set[int]:
    rows = {row.id: row for row in c.execute(select(_FOLD).where(_FOLD.c.id.in_(ids)))}
    sums = _summed(c, list(rows), moved=moved)
    kept = []
    for number, row in rows.items():
        found = sums.get(number)
        if found is None:
            continue
        if not moved:
            found.hours = dict(row.hours)
        kept.append(
            {"id": number, "oid": row.oid, "storm": row.storm, "cat": row.cat, "rule": row.rule}
            | found.both() | found.alone()
        )  # fmt: skip
    _put(c, _FOLD, "id", kept)
    gone = [number for number in rows if number not in sums]
    if gone:
        c.execute(delete(_FOLD).where(_FOLD.c.id.in_(gone)))
    return {row.storm for row in rows.values()}


def _summed(c: Connection, ids: Sequence[int], *, moved: bool) -> dict[int, _Sums]:
    """What the members of each of these folds add up to; folds without any are left out."""
    shown = and_(_D.c.status < 2, _D.c.snoozed_until.is_(None))
    at = func.coalesce(_D.c.resolved_at, _D.c.time)
    spent = _D.c.resolved_at - _D.c.acknowledged_at
    found: dict[int, _Sums] = {}
    hour = (_D.c.time // HOUR).label("hour")
    for half in _HALVES:
        members = and_(_D.c.fold_id.in_(ids), half)
        totals = (
            select(
                _D.c.fold_id, func.count().label("total"), func.sum(case((shown, 1), else_=0)).label("open"),
                func.min(_D.c.time).label("first_seen"), func.max(_D.c.time).label("last_seen"),
                func.coalesce(func.max(case((shown, _D.c.rank))), -1).label("rank"),
                func.coalesce(func.max(case((shown, _D.c.time))), 0).label("last_open"),
                func.min(case((shown, _D.c.due_at))).label("due_at"),
                func.sum(case((_D.c.classification == 1, 1), else_=0)).label("true_positives"),
                func.sum(case((_D.c.classification == 2, 1), else_=0)).label("false_positives"),
                func.max(case((_D.c.classification == 1, at))).label("last_true_at"),
                func.coalesce(func.sum(case((spent > 0, spent), else_=0)), 0).label("spent"),
            ).where(members).group_by(_D.c.fold_id)
        )  # fmt: skip
        for row in c.execute(totals):
            part = _Sums(
                total=row.total, open=int(row.open), first_seen=row.first_seen, last_seen=row.last_seen,
                rank=row.rank, last_open=row.last_open, due_at=row.due_at,
                true_positives=int(row.true_positives), false_positives=int(row.false_positives),
                last_true_at=row.last_true_at, spent=int(row.spent),
            )  # fmt: skip
            found.setdefault(row.fold_id, _Sums()).add(part)
        latest = (
            select(
                _D.c.fold_id, _D.c.id, _D.c.classification, at.label("at"),
                func.row_number()
                .over(partition_by=_D.c.fold_id, order_by=(at.desc(), _D.c.id.desc()))
                .label("place"),
            ).where(members, _D.c.classification != 0)
        ).subquery()  # fmt: skip
        for row in c.execute(select(latest).where(latest.c.place == 1)):
            sums = found[row.fold_id]
            sums.verdict = max(sums.verdict or (row.at, row.id, 0), (row.at, row.id, row.classification))
        held = (
            select(_D.c.fold_id, _D.c.assignee, func.count().label("members"))
            .where(members, shown, _D.c.assignee != "")
            .group_by(_D.c.fold_id, _D.c.assignee)
        )
        for row in c.execute(held) if half is _HALVES[0] else ():
            found[row.fold_id].assignees[row.assignee] = row.members
        counted = select(_D.c.fold_id, hour, func.count().label("members")).where(members)
        for row in c.execute(counted.group_by(_D.c.fold_id, hour)) if moved else ():
            hours = found[row.fold_id].hours
            hours[str(row.hour)] = hours.get(str(row.hour), 0) + row.members
    decided = {sums.verdict[1]: sums for sums in found.values() if sums.verdict is not None}
    for alert, who in _deciders(c, sorted(decided)).items():
        decided[alert].verdict_by = who
    return found


def _deciders(c: Connection, alerts: Sequence[int]) -> dict[int, str]:
    """Who classified each of these alerts last: the operator of that decision, else whose alert it is."""
    found: dict[int, str] = {}
    for part in _chunks(alerts):
        found.update(
            (row.id, row.assignee)
            for row in c.execute(select(_D.c.id, _D.c.assignee).where(_D.c.id.in_(part)))
        )
        decisions = (
            select(_CHANGE.c.detection_id, _ACTION.c.actor)
            .join(_ACTION, _ACTION.c.id == _CHANGE.c.action_id)
            .where(_CHANGE.c.detection_id.in_(part), _CHANGE.c.outcome == 1, _ACTION.c.verb == CLOSE)
            .order_by(_CHANGE.c.detection_id, _CHANGE.c.action_id)
        )
        found.update((row.detection_id, row.actor) for row in c.execute(decisions))
    return found


def _recount_storms(c: Connection, keys_: Sequence[int]) -> None:
    """Add storms up again from their folds."""
    storms = {row.key: row for row in c.execute(select(_STORM).where(_STORM.c.key.in_(keys_)))}
    sums, organizations = _added(c, keys_)
    kept = []
    for key, row in storms.items():
        if key not in sums:
            continue
        open_ = organizations.get(key, [])
        kept.append(
            {"key": key, "cat": row.cat, "rule": row.rule, "salient": row.salient}
            | {"organizations": len(open_), "fold_id": open_[0] if len(open_) == 1 else 0}
            | sums[key].both()
        )
    _put(c, _STORM, "key", kept)
    gone = [key for key in storms if key not in sums]
    if gone:
        c.execute(delete(_STORM).where(_STORM.c.key.in_(gone)))


def miscounted(c: Connection) -> list[str]:
    """Folds and storms whose row is not what their members add up to, in words; nothing is written."""
    wrong = []
    strays = (
        select(_D.c.id)
        .select_from(_D.outerjoin(_FOLD, _FOLD.c.id == _D.c.fold_id))
        .where(or_(_FOLD.c.id.is_(None), _FOLD.c.oid != _D.c.oid))
    )
    if "*" not in rebuilding(c).rules:
        wrong += [f"alert {alert}, which is in none" for alert in c.execute(strays.limit(10)).scalars()]
    last = 0
    while True:
        rows = c.execute(select(_FOLD).where(_FOLD.c.id > last).order_by(_FOLD.c.id).limit(_CHUNK)).all()
        if not rows:
            break
        last = rows[-1].id
        sums = _summed(c, [row.id for row in rows], moved=True)
        for row in rows:
            found = sums.get(row.id, _Sums())
            if not _same(row, found.both() | found.alone()):
                wrong.append(f"fold {row.id} of organization {row.oid}")
    key = None
    while True:
        following = select(_STORM).order_by(_STORM.c.key).limit(_CHUNK)
        storms = c.execute(following if key is None else following.where(_STORM.c.key > key)).all()
        if not storms:
            return wrong
        key = storms[-1].key
        added, shown = _added(c, [row.key for row in storms])
        for row in storms:
            whole = added.get(row.key, _Sums()).both() | {"organizations": len(shown.get(row.key, []))}
            if not _same(row, whole):
                wrong.append(f"storm {row.key}")


def _same(row: Any, values: Mapping[str, Any]) -> bool:
    return all(getattr(row, name) == value for name, value in values.items())


def _added(c: Connection, keys_: Sequence[int]) -> tuple[dict[int, _Sums], dict[int, list[int]]]:
    """What the folds of each storm add up to, and which of them have an open member."""
    sums: dict[int, _Sums] = {}
    shown: dict[int, list[int]] = {}
    for row in c.execute(select(_FOLD).where(_FOLD.c.storm.in_(keys_)).order_by(_FOLD.c.id)):
        sums.setdefault(row.storm, _Sums()).add(_sums(row))
        if row.open:
            shown.setdefault(row.storm, []).append(row.id)
    return sums, shown


# Sorting alerts anew


@dataclass(frozen=True)
class Rebuilding:
    """How far a rebuild has come, in ids of alerts."""

    rules: tuple[str, ...]
    """What is sorted anew; empty when nothing is left to do."""
    done: int
    total: int


def rebuilding(c: Connection) -> Rebuilding:
    """What is left of the rebuilds that were asked for."""
    left = _pending(c)["rules"].values()
    return Rebuilding(
        tuple(sorted(_pending(c)["rules"])), sum(after for after, _ in left), sum(until for _, until in left)
    )


def _pending(c: Connection) -> dict[str, dict[str, Any]]:
    """`rules`: rule -> the alert after which to go on, and the last one. `more`: alert -> how many more
    members its snooze waits for, which its fold's total does not tell while alerts change folds."""
    kept = preferences.get(c, PENDING) or {}
    return {"rules": dict(kept.get("rules", {})), "more": dict(kept.get("more", {}))}


def ask_again(c: Connection) -> None:
    """Have every alert sorted anew; `rebuild` has to follow."""
    _ask(c, ALL)


def _ask(c: Connection, rule: str) -> None:
    pending = _pending(c)
    pending["rules"][rule] = [0, c.execute(select(func.max(_D.c.id))).scalar_one() or 0]
    waiting = (
        select(_SNOOZE.c.detection_id, _SNOOZE.c.more - _FOLD.c.total)
        .select_from(
            _SNOOZE.join(_D, _D.c.id == _SNOOZE.c.detection_id).join(_FOLD, _FOLD.c.id == _D.c.fold_id)
        )
        .where(_SNOOZE.c.woken_at.is_(None), _SNOOZE.c.more < _UNTOLD)
    )
    for alert, more in c.execute(waiting).all():
        pending["more"][str(alert)] = more
        c.execute(update(_SNOOZE).where(_SNOOZE.c.detection_id == alert).values(more=_UNTOLD))
    preferences.put(c, PENDING, pending)


def _finish(c: Connection, more: Mapping[str, int]) -> None:
    """Let snoozes wait for as many more members of the fold that their alert is in now."""
    for alert, left in more.items():
        total = (
            select(_FOLD.c.total + left).join(_D, _D.c.fold_id == _FOLD.c.id).where(_D.c.id == int(alert))
        ).scalar_subquery()
        c.execute(
            update(_SNOOZE)
            .where(_SNOOZE.c.detection_id == int(alert), _SNOOZE.c.more == _UNTOLD)
            .values(more=total)
        )


def rebuild(c: Connection) -> Rebuilding:
    """Sort the next WINDOW alerts anew, by the fold keys that hold now; to be repeated until nothing is left.

    In between, every alert is in exactly one fold, and every fold counts exactly what it has. What was
    interrupted goes on where it stopped.
    """
    pending = _pending(c)
    if not pending["rules"]:
        return Rebuilding((), 0, 0)
    rule, (after, until) = min(pending["rules"].items())
    known = keys(c)
    condition = [_D.c.id > after, _D.c.id <= until]
    named = case((_D.c.rule != "", _D.c.rule), else_=_D.c.cat)
    if rule != ALL:
        condition.append(named == rule)
    found = (
        c.execute(
            select(*_D.c, _BODY.c.body)
            .select_from(_D.outerjoin(_BODY, _BODY.c.detection_id == _D.c.id))
            .where(*condition)
            .order_by(_D.c.id)
            .limit(WINDOW)
        )
        .mappings()
        .all()
    )
    _refold(c, found, known)
    if len(found) < WINDOW:
        del pending["rules"][rule]
    else:
        pending["rules"][rule] = [found[-1]["id"], until]
    if not pending["rules"]:
        _finish(c, pending["more"])
    preferences.put(c, PENDING, pending if pending["rules"] else None)
    return rebuilding(c)


def _refold(c: Connection, rows: Sequence[RowMapping], known: Mapping[str, tuple[str, ...]]) -> None:
    """Put alerts into the folds that the keys say, and count both sides."""
    by_organization: dict[str, list[tuple[RowMapping, Identity]]] = {}
    held = [row["fold_id"] for row in rows if row["fold_id"]]
    storms: dict[int, int] = {}
    for part in _chunks(sorted(set(held))):
        storms.update(
            (row.id, row.storm)
            for row in c.execute(select(_FOLD.c.id, _FOLD.c.storm).where(_FOLD.c.id.in_(part)))
        )
    for row in rows:
        values = {} if row["damaged"] else _values_of_body(row["body"])
        rule, cat = row["rule"], row["cat"]
        identity = identity_of(values, rule, cat, fields_for(known, rule or cat))
        if storms.get(row["fold_id"]) != identity.key:
            by_organization.setdefault(row["oid"], []).append((row, identity))
    left: set[int] = set()
    for oid, moving in sorted(by_organization.items()):
        members = [row for row, _ in moving]
        decided = _deciders(c, [row["id"] for row in members if row["classification"]])
        folds = _count_in(c, oid, members, [identity for _, identity in moving], decided)
        for fold_id in sorted(set(folds)):
            ids = [row["id"] for row, fold in zip(members, folds, strict=True) if fold == fold_id]
            for part in _chunks(ids):
                c.execute(update(_D).where(_D.c.id.in_(part)).values(fold_id=fold_id))
                c.execute(update(_SNOOZE).where(_SNOOZE.c.detection_id.in_(part)).values(fold_id=fold_id))
        left.update(row["fold_id"] for row in members if row["fold_id"])
    recount(c, left, moved=True)


def _values_of_body(packed: bytes | None) -> dict[str, str]:
    if packed is None:
        return {}
    try:
        return values_in(unpack(packed))
    except StoreDamaged:
        return {}


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), _CHUNK):
        yield values[at : at + _CHUNK]


def _insert(c: Connection, table: Table) -> Any:
    return (sqlite if c.dialect.name == "sqlite" else postgresql).insert(table)
