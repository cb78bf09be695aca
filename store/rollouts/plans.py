"""Plans: what differs between what organizations are to have and what they have, and how it is to be changed.

A plan is worked out from the store alone, and is the same whenever the same question is asked of the same
store: so a plan is stale exactly when asking again gives another hash. What was found to be as wanted is not
compared again until either side changed (`wanted_state`), so that one changed record in a template costs one
look at that record in every organization, and not at all of their records.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import Connection, Table, Text, bindparam, cast, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from store import models
from store.access import counted
from store.bodies import unpack
from store.configuration import canonical, content_hash
from store.rollouts.compare import normalised, normalised_metadata, observed_name
from store.rollouts.wanted import Placed, Want, WantedSet, versions, wanted
from store.templates.documents import Key
from store.templates.effective import document_key

ChangeClass = Literal["added", "changed", "enabled", "disabled", "removed"]
CHANGES: Final[tuple[ChangeClass, ...]] = get_args(ChangeClass)

State = Literal["draft", "running", "done", "partly", "halted", "paused", "rolled back", "dropped"]
STATES: Final[tuple[State, ...]] = get_args(State)

WaveState = Literal["waiting", "running", "gate", "done", "failed", "rolled back"]
WAVE_STATES: Final[tuple[WaveState, ...]] = get_args(WaveState)

OutcomeWord = Literal[
    "waiting", "sending", "applied", "already", "denied", "gone", "conflict", "failed", "unknown", "skipped",
    "rolled back",
]  # fmt: skip
OUTCOMES: Final[tuple[OutcomeWord, ...]] = get_args(OutcomeWord)
"""waiting and sending are not final: a step that is sending is looked at before it is sent again."""

LIVES: Final = 60 * 60 * 1000
"""Milliseconds after which a plan is refused."""

DESTRUCTIVE: Final = frozenset({"extension", "installation_key", "hive/secret", "org_value"})
"""Sections whose removal cannot be taken back: an extension's data goes with it, a key or secret is lost."""

RISKY: Final = frozenset({"output", "hive/acl", "hive/app"})
"""Sections that send data elsewhere or say who may do what."""

MANY: Final = 25
"""More organizations than this need a second identity."""

UNREADABLE: Final = frozenset({"hive/secret"})
"""Sections whose content is never read back: what was written last says whether it is as wanted."""

UNSEEN: Final = ("yara/sources/", "exfil/perf/")
"""Of these not even the names are read."""

_RECORD: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]
_OWNED: Table = models.TemplateOwned.__table__  # type: ignore[attr-defined]
_STATE: Table = models.WantedState.__table__  # type: ignore[attr-defined]
_SET: Table = models.WantedContent.__table__  # type: ignore[attr-defined]
_PLAN: Table = models.RolloutPlan.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_SYNC: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_DECISION: Table = models.DriftDecision.__table__  # type: ignore[attr-defined]

_OF_ONE = select(
    _RECORD.c.section, _RECORD.c.name, _RECORD.c.hash, cast(_RECORD.c.metadata, Text), _RECORD.c.etag
).where(_RECORD.c.oid == bindparam("oid"), _RECORD.c.valid_to.is_(None))
"""The records of one organization; metadata as text, which is parsed once for each text."""


class Observed(msgspec.Struct, frozen=True, gc=False):
    """A record as the store has it, in the form in which it is compared.

    Of these there are tens of thousands, without a circle among them: no collector has to look at them.
    """

    hash: str
    metadata: Mapping[str, Any]
    """Normalised."""
    etag: str
    body: str
    """Hash of the stored content: where it can be read."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is to become of one record of one organization."""

    oid: str
    section: str
    name: str
    change: ChangeClass
    before: Observed | None
    after: Want | None
    """None for a removal."""

    @property
    def key(self) -> Key:
        """Section and name."""
        return self.section, self.name

    @property
    def destructive(self) -> bool:
        """Whether it cannot be taken back."""
        return self.change == "removed" and self.section in DESTRUCTIVE

    @property
    def what(self) -> str:
        """`hives/fp/scanner`."""
        return document_key(self.key)


@dataclass(frozen=True, slots=True)
class Fold:
    """Organizations that get exactly the same changes."""

    oids: tuple[str, ...]
    changes: tuple[Change, ...]
    """Those of the first of them."""


@dataclass(frozen=True)
class Drafted:
    """What a plan would be."""

    organizations: Mapping[str, str]
    """All that were looked at: oid -> name."""
    changes: tuple[Change, ...]
    blocked: tuple[tuple[str, str], ...]
    """(oid, reason)."""
    seen: Mapping[str, Any]
    """What it rests on."""
    hash: str
    placed: Mapping[str, Placed] = field(repr=False)
    differing: frozenset[str] = field(default=frozenset(), repr=False)
    """Organizations with anything that differs, excluded or not."""

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The organizations by what is to become of them, the most first."""
        return folded(self.changes)


def folded(changes: Iterable[Change]) -> tuple[Fold, ...]:
    """Organizations with the same changes together, the most first."""
    by_oid: dict[str, list[Change]] = {}
    for change in changes:
        by_oid.setdefault(change.oid, []).append(change)
    found: dict[tuple[Any, ...], list[str]] = {}
    for oid, each in by_oid.items():
        same = tuple(
            (
                one.section, one.name, one.change, one.before.hash if one.before else "",
                one.after.hash if one.after else "",
                json.dumps(one.after.metadata, sort_keys=True) if one.after else "",
            )
            for one in each
        )  # fmt: skip
        found.setdefault(same, []).append(oid)
    folds = [Fold(tuple(oids), tuple(by_oid[oids[0]])) for oids in found.values()]
    return tuple(sorted(folds, key=lambda fold: (-len(fold.oids), fold.oids[0])))


def drafted(connection: Connection, *, scope: str, key: bytes, ignore_frozen: bool = False) -> Drafted:
    """Work out what a plan for a scope would be; nothing is written.

    Args:
        scope: a node's id; "" for all.
        key: the installation's redaction key.
        ignore_frozen: plan for frozen organizations as well (for drift, which only looks).
    """
    found = compared(connection, scope=scope, key=key, ignore_frozen=ignore_frozen)
    placed, blocked = found.placed, found.blocked
    decided = _excluded(connection)
    changes = [each for each in found.changes if (each.oid, each.section, each.name) not in decided]
    seen = {
        "scope": scope,
        "templates": {name: list(each) for name, each in versions(connection).items()},
        "wanted": _digest_of_lines(
            f"{each.oid} {each.wanted.hash} {' '.join(sorted(each.marks)) if each.marks else ''}"
            for each in placed
        ),
    }
    return Drafted(
        {each.oid: each.name for each in placed},
        tuple(changes),
        tuple(blocked),
        seen,
        hash_of(seen, changes, blocked),
        {each.oid: each for each in placed},
        frozenset(each.oid for each in found.changes),
    )


@dataclass(frozen=True)
class Compared:
    """Everything that differs, before it is asked what may be planned of it."""

    placed: list[Placed]
    """All that were looked at."""
    blocked: list[tuple[str, str]]
    """(oid, reason): these were not compared."""
    changes: list[Change]
    """Excluded ones too."""


def compared(connection: Connection, *, scope: str, key: bytes, ignore_frozen: bool = False) -> Compared:
    """Compare what is wanted with what there is; arguments as of `drafted`."""
    placed = wanted(connection, scope, key)
    blocked: list[tuple[str, str]] = []
    ready: list[Placed] = []
    unread = _unread(connection, [each.oid for each in placed])
    for each in placed:
        if each.wanted.blocked:
            blocked.append((each.oid, each.wanted.blocked[0]))
        elif "frozen" in each.marks and not ignore_frozen:
            blocked.append((each.oid, "It is frozen: no rollout until the mark is taken away."))
        elif each.oid in unread:
            blocked.append((each.oid, unread[each.oid]))
        else:
            ready.append(each)
    return Compared(placed, blocked, _Comparing(connection, key).changes(ready))


def _excluded(connection: Connection) -> set[tuple[str, str, str]]:
    """Records that were excluded from what templates say."""
    rows = connection.execute(
        select(_DECISION.c.oid, _DECISION.c.section, _DECISION.c.name).where(_DECISION.c.decision == 2)
    )
    return {(row.oid, row.section, row.name) for row in rows}


def _unread(connection: Connection, oids: Iterable[str]) -> dict[str, str]:
    """Those organizations whose configuration was never read whole, and why."""
    read = _SYNC.alias()
    rows = connection.execute(
        select(_ORGANIZATION.c.oid, read.c.reason)
        .select_from(
            _ORGANIZATION.outerjoin(
                read, (read.c.oid == _ORGANIZATION.c.oid) & (read.c.subject == "configuration")
            )
        )
        .where(read.c.checked_at.is_(None))
    ).fetchall()
    known = {oid: reason for oid, reason in rows}
    return {
        oid: f"Its configuration was never read whole: {known[oid] or '`limegrove sync` reads it'}."
        for oid in (oids if known else ())
        if oid in known
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def _digest_of_lines(lines: Iterable[str]) -> str:
    """Of many short texts at once, which is much faster than of the same as JSON."""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def hash_of(seen: Mapping[str, Any], changes: Iterable[Change], blocked: Iterable[tuple[str, ...]]) -> str:
    """What an approval signs: SHA-256 over what a plan rests on and every change in it."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    said: dict[int, str] = {}

    def text(metadata: Mapping[str, Any] | None) -> str:
        # Thousands of records share one mapping: it is written out once.
        if id(metadata) not in said:
            said[id(metadata)] = canonical(None if metadata is None else dict(metadata)).decode()
        return said[id(metadata)]

    wants: dict[int, tuple[Any, ...] | None] = {id(None): None}
    key: tuple[Any, ...]
    # Held on to: what is known by its identity must not go meanwhile.
    for each in (every := list(changes)):
        before, after = each.before, each.after
        if id(after) not in wants and after is not None:
            wants[id(after)] = (after.hash, text(after.metadata), after.template, after.version)
        if before is None:
            key = (each.section, each.name, each.change, None, None, wants[id(after)])
            alike.setdefault(key, []).append(each.oid)
        else:
            key = (
                each.section, each.name, each.change, before.hash, text(before.metadata), wants[id(after)],
            )  # fmt: skip
            alike.setdefault(key, []).append(f"{each.oid} {before.etag}")
    groups = sorted(
        [canonical(key).decode(), _digest_of_lines(sorted(lines))] for key, lines in alike.items()
    )
    del every
    return _digest({"seen": dict(seen), "changes": groups, "blocked": [list(each) for each in blocked]})


class _Comparing:
    def __init__(self, connection: Connection, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._forms: dict[tuple[str, str], tuple[str, str]] = {}
        """(section, hash of the stored content) -> (hash of its form, what a document calls it)."""
        self._said: dict[str, Mapping[str, Any]] = {}

    def changes(self, placed: list[Placed]) -> list[Change]:
        """What differs, organization by organization, by section and name."""
        # Most were compared at once and found the same: one row for all of those.
        oids = func.aggregate_strings(_STATE.c.oid, "\n")
        rows = self._connection.execute(
            select(oids, _STATE.c.wanted, _STATE.c.mark, _STATE.c.at).group_by(
                _STATE.c.wanted, _STATE.c.mark, _STATE.c.at
            )
        ).fetchall()
        known: dict[str, Any] = {}
        for row in rows:
            known.update(dict.fromkeys(row[0].split("\n"), row))
        moved = self._moved(rows, known)
        whole: list[Placed] = []
        turned: dict[tuple[str, str], list[Placed]] = {}
        for each in placed:
            state = known.get(each.oid)
            if state is None or each.oid in moved or each.wanted.own:
                whole.append(each)
            elif state[1] != each.wanted.hash:
                turned.setdefault((state[1], each.wanted.hash), []).append(each)
        found: dict[str, list[Change]] = {}
        for (before, _), some in turned.items():
            old = self._set(before)
            if old is None:
                whole += some
            else:
                self._turned(old, some, found)
        for each in whole:
            found[each.oid] = self._whole(each)
        return [change for each in placed for change in found.get(each.oid, ())]

    def _moved(self, states: Sequence[Any], known: Mapping[str, Any]) -> set[str]:
        """The organizations of which anything changed since they were last compared.

        Args:
            states: (oids, wanted, mark, at).
            known: oid -> its state.
        """
        if not states:
            return set()
        least, oldest = min(row[2] for row in states), min(row[3] for row in states)
        newest: dict[str, int] = {}
        for row in self._connection.execute(
            select(_RECORD.c.oid, func.max(_RECORD.c.id)).where(_RECORD.c.id > least).group_by(_RECORD.c.oid)
        ):
            newest[row[0]] = row[1]
        ended: dict[str, int] = {}
        for row in self._connection.execute(
            select(_RECORD.c.oid, func.max(_RECORD.c.valid_to))
            .where(_RECORD.c.valid_to >= oldest)
            .group_by(_RECORD.c.oid)
        ):
            ended[row[0]] = row[1]
        return {
            oid
            for oid in newest.keys() | ended.keys()
            if (state := known.get(oid)) is not None
            and (newest.get(oid, 0) > state[2] or ended.get(oid, -1) >= state[3])
        }

    def _set(self, digest: str) -> dict[Key, tuple[str, Any]] | None:
        held = self._connection.execute(
            select(_SET.c.records).where(_SET.c.hash == digest)
        ).scalar_one_or_none()
        if held is None:
            return None
        return {
            (section, name): (each, metadata)
            for section, name, each, metadata in json.loads(zlib.decompress(held))
        }

    def _turned(
        self, old: Mapping[Key, tuple[str, Any]], some: list[Placed], found: dict[str, list[Change]]
    ) -> None:
        """Organizations that were as the old set wanted: only where the sets differ can anything differ."""
        new = some[0].wanted.records
        differing = sorted(
            key
            for key in old.keys() | new.keys()
            if key not in old or key not in new or old[key] != (new[key].hash, _said(new[key].metadata))
        )
        oids = {each.oid for each in some}
        for key in differing:
            held = self._held(key, oids)
            owned = self._owning(key, oids)
            for each in some:
                change = self._change(each.oid, key, new.get(key), held.get(each.oid), owned.get(each.oid))
                if change is not None:
                    found.setdefault(each.oid, []).append(change)

    def _held(self, key: Key, oids: set[str]) -> dict[str, Observed]:
        """A record in every organization that has it."""
        section, name = key
        columns = (
            _RECORD.c.oid, _RECORD.c.name, _RECORD.c.hash, cast(_RECORD.c.metadata, Text).label("said"),
            _RECORD.c.etag,
        )  # fmt: skip
        query = select(*columns).where(_RECORD.c.section == section, _RECORD.c.valid_to.is_(None))
        if section != "installation_key":
            query = query.where(_RECORD.c.name == (name.partition("/")[2] if section == "yara" else name))
        found: dict[str, Observed] = {}
        for oid, each, digest, said, etag in self._connection.execute(query).fetchall():
            if oid not in oids:
                continue
            form, called = self._form(section, each, digest)
            if called == name:
                found[oid] = Observed(form, self._metadata(said), etag, digest)
        return found

    def _owning(self, key: Key, oids: set[str]) -> dict[str, str]:
        rows = self._connection.execute(
            select(_OWNED.c.oid, _OWNED.c.hash).where(_OWNED.c.section == key[0], _OWNED.c.name == key[1])
        )
        return {row.oid: row.hash for row in rows if row.oid in oids}

    def _whole(self, each: Placed) -> list[Change]:
        """Every record of one organization."""
        rows = self._connection.execute(_OF_ONE, {"oid": each.oid}).fetchall()
        held: dict[Key, Any] = {}
        for row in rows:
            section = row[0]
            held[
                section, row[1] if section.startswith("hive/") else self._form(section, row[1], row[2])[1]
            ] = row
        wants = each.wanted.of(each.oid, each.name, self._key) if each.wanted.own else each.wanted.records
        owned = {
            (row.section, row.name): row.hash
            for row in self._connection.execute(
                select(_OWNED.c.section, _OWNED.c.name, _OWNED.c.hash).where(_OWNED.c.oid == each.oid)
            )
        }
        changes: list[Change] = []
        for key in sorted(wants.keys() | owned.keys()) if owned else wants:
            want, there = wants.get(key), held.get(key)
            if want is not None and there is not None and there[2] == want.hash and key[0] not in UNREADABLE:
                metadata = want.metadata
                if metadata is None or metadata == self._metadata(there[3]):
                    continue
            found = None if there is None else self._observed(key[0], there)
            change = self._change(each.oid, key, want, found, owned.get(key))
            if change is not None:
                changes.append(change)
        return changes if owned else sorted(changes, key=lambda change: change.key)

    def _observed(self, section: str, row: Any) -> Observed:
        form, _ = self._form(section, row[1], row[2])
        return Observed(form, self._metadata(row[3]), row[4], row[2])

    def _metadata(self, text: str) -> Mapping[str, Any]:
        """`usr_mtd` in its normal form, by its text: of those there is a handful."""
        known = self._said.get(text)
        if known is None:
            known = self._said[text] = normalised_metadata(json.loads(text) if text else None)
        return known

    def _form(self, section: str, name: str, digest: str) -> tuple[str, str]:
        if section.startswith("hive/"):
            return digest, name
        known = self._forms.get((section, digest)) if section != "yara" else None
        if known is not None and section == "installation_key":
            return known
        if known is not None:
            return known[0], observed_name(section, name, None)
        held = self._connection.execute(select(_CONTENT.c.body).where(_CONTENT.c.hash == digest)).scalar_one()
        body = json.loads(unpack(held))
        called = observed_name(section, name, body)
        form = content_hash(normalised(section, called, body))
        self._forms[section, digest] = form, called
        return form, called

    def _change(
        self, oid: str, key: Key, want: Want | None, held: Observed | None, owned: str | None
    ) -> Change | None:
        section, name = key

        def change(word: ChangeClass) -> Change:
            return Change(oid, section, name, word, held, want)

        if want is None:
            # Which names of a category of resources a template brought is not known: the category stays.
            gone = held is not None and owned is not None and section != "resource"
            return change("removed") if gone else None
        if held is None:
            unseen = f"{section}/{name}".startswith(UNSEEN) and owned == want.hash
            return None if unseen else change("added")
        if section == "extension":
            return None
        if section == "resource":
            return change("changed") if self._lacks(want, held) else None
        different = (owned != want.hash) if section in UNREADABLE else (held.hash != want.hash)
        if different:
            return change("changed")
        if want.metadata is None or not section.startswith("hive/") or want.metadata == held.metadata:
            return None
        on, was = want.metadata["enabled"], held.metadata["enabled"]
        if on != was:
            return change("enabled" if on else "disabled")
        return change("changed")

    def _lacks(self, want: Want, held: Observed) -> bool:
        """Whether a category of resources lacks a name; more than is wanted is fine."""
        if want.hash == held.hash:
            return False
        body = self._connection.execute(
            select(_CONTENT.c.body).where(_CONTENT.c.hash == held.body)
        ).scalar_one()
        return not set(want.names) <= set(json.loads(unpack(body)))


def _said(metadata: Mapping[str, Any] | None) -> Any:
    return None if metadata is None else dict(metadata)


def remember(connection: Connection, drafted: Drafted, *, now: int, mark: int) -> None:
    """Write down which organizations are as wanted, so that they are not compared again.

    Args:
        mark: id of the newest configuration record when they were compared (`newest_record`).
    """
    # What is excluded differs all the same: once the decision is taken back it is compared again.
    differing = drafted.differing | {oid for oid, _ in drafted.blocked}
    same = [each for oid, each in drafted.placed.items() if oid not in differing and not each.wanted.own]
    sets: dict[str, WantedSet] = {each.wanted.hash: each.wanted for each in same}
    known = set(connection.execute(select(_SET.c.hash).where(_SET.c.hash.in_(list(sets)))).scalars())
    for digest, every in sets.items():
        if digest not in known:
            records = [
                [section, name, want.hash, _said(want.metadata)]
                for (section, name), want in sorted(every.records.items())
            ]
            packed = zlib.compress(json.dumps(records).encode())
            connection.execute(insert(_SET).values(hash=digest, records=packed))
    rows = [{"oid": each.oid, "wanted": each.wanted.hash, "mark": mark, "at": now} for each in same]
    if not rows:
        return
    upsert: Any = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(_STATE)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["oid"],
            set_={name: getattr(upsert.excluded, name) for name in ("wanted", "mark", "at")},
        ),
        rows,
    )


def newest_record(connection: Connection) -> int:
    """Id of the newest configuration record, over all organizations; 0 when there is none."""
    return int(connection.execute(select(func.max(_RECORD.c.id))).scalar() or 0)


def risks(changes: Iterable[Change]) -> list[str]:
    """Why a second identity has to approve what changes; empty when none has to."""
    made, found = list(changes), []
    touched = len({each.oid for each in made})
    if touched > MANY:
        found.append(f"It changes {touched:,} organizations; more than {MANY} need a second person.")
    destructive = sum(each.destructive for each in made)
    if destructive:
        found.append(f"{counted(destructive, 'change')} cannot be taken back.")
    risky = sorted({each.section for each in made if each.section in RISKY})
    if risky:
        found.append(f"It changes {', '.join(risky)}: where data goes, or who may do what.")
    return found
