"""Plans: what differs between what organizations are to have and what they have, and how it is to be changed.

A plan is worked out from the store alone, and is the same whenever the same question is asked of the same
store: so a plan is stale exactly when asking again gives another hash. What was found to be as wanted is not
compared again until either side changed (`wanted_state`), so that one changed record in a template costs one
look at that record in every organization, and not at all of their records.
"""

import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import Connection, Table, Text, bindparam, cast, func, insert, select, type_coerce
from sqlalchemy.dialects import postgresql, sqlite

from store import models
from store.access import counted
from store.bodies import unpack
from store.configuration import canonical, content_hash
from store.rollouts.compare import normalised, normalised_metadata, observed_name
from store.rollouts.wanted import Placed, Want, WantedSet, runs, versions, wanted
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

_BETWEEN: Final = "\x1f"
"""Between texts that the database joins."""

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
class Alike:
    """One change of one record, the same in all of these organizations."""

    section: str
    name: str
    change: ChangeClass
    before: Observed | None
    """Without an etag: each organization has its own."""
    after: Want | None
    etags: Mapping[str, str]
    """oid -> etag; "" where there is no record."""

    @property
    def key(self) -> Key:
        """Section and name."""
        return self.section, self.name

    def of(self, oid: str) -> Change:
        """The change in one of them."""
        before = self.before
        if before is not None:
            before = Observed(before.hash, before.metadata, self.etags[oid], before.body)
        return Change(oid, self.section, self.name, self.change, before, self.after)


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
    """All that were looked at, in the order of the tree: oid -> name."""
    alike: tuple[Alike, ...]
    blocked: tuple[tuple[str, str], ...]
    """(oid, reason)."""
    seen: Mapping[str, Any]
    """What it rests on."""
    hash: str
    placed: Mapping[str, Placed] = field(repr=False)
    differing: frozenset[str] = field(default=frozenset(), repr=False)
    """Organizations with anything that differs, excluded or not."""

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """One by one: organization by organization, by section and name."""
        return tuple(unfolded(self.alike, self.organizations))

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The organizations by what is to become of them, the most first."""
        same: dict[tuple[Any, ...], int] = {}
        looks: dict[str, list[int]] = {}
        kinds: dict[int, Alike] = {}
        for alike in sorted(self.alike, key=lambda each: each.key):
            before, after = alike.before, alike.after
            look = (
                alike.section, alike.name, alike.change, before.hash if before else "",
                after.hash if after else "",
                json.dumps(after.metadata, sort_keys=True) if after else "",
            )  # fmt: skip
            number = same.setdefault(look, len(same))
            kinds[number] = alike
            for oid in alike.etags:
                looks.setdefault(oid, []).append(number)
        found: dict[tuple[int, ...], list[str]] = {}
        for oid in self.organizations if len(same) > 1 else ():
            if oid in looks:
                found.setdefault(tuple(looks[oid]), []).append(oid)
        if len(same) == 1:
            found[(0,)] = [oid for oid in self.organizations if oid in looks]
        firsts: dict[str, list[Change]] = {oids[0]: [] for oids in found.values()}
        for change in unfolded(self.alike, firsts):
            firsts[change.oid].append(change)
        folds = [Fold(tuple(oids), tuple(firsts[oids[0]])) for oids in found.values()]
        return tuple(sorted(folds, key=lambda fold: (-len(fold.oids), fold.oids[0])))


def unfolded(alike: Iterable[Alike], oids: Iterable[str]) -> Iterator[Change]:
    """The changes of these organizations one by one: in their order, by section and name."""
    by_oid: dict[str, list[Alike]] = {oid: [] for oid in oids}
    for each in sorted(alike, key=lambda one: one.key):
        for oid in each.etags if len(each.etags) < len(by_oid) else by_oid:
            if oid in by_oid and oid in each.etags:
                by_oid[oid].append(each)
    for oid, found in by_oid.items():
        for each in found:
            yield each.of(oid)


class Gathering:
    """Changes put together that are the same but for the organization."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], Alike] = {}
        self._etags: dict[tuple[Any, ...], dict[str, str]] = {}

    def add(self, change: Change) -> None:
        """One more."""
        before, after = change.before, change.after
        # Held on to by what is kept here, so that an identity stays what it is.
        same = (
            change.section, change.name, change.change, id(after),
            None if before is None else (before.hash, before.body, id(before.metadata)),
        )  # fmt: skip
        etags = self._etags.get(same)
        if etags is None:
            etags = self._etags[same] = {}
            self._found[same] = Alike(change.section, change.name, change.change, before, after, etags)
        etags[change.oid] = before.etag if before is not None else ""

    def alike(self) -> list[Alike]:
        """All of them."""
        return list(self._found.values())


def gathered(changes: Iterable[Change]) -> list[Alike]:
    """Put changes together that are the same but for the organization."""
    gathering = Gathering()
    for each in changes:
        gathering.add(each)
    return gathering.alike()


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
    alike = [kept for each in found.alike if (kept := _without(each, decided)) is not None]
    seen = {
        "scope": scope,
        "templates": {name: list(each) for name, each in versions(connection).items()},
        "wanted": _digest_of_lines(
            line
            for wanted_set, marks, some in runs(placed)
            for line in (" ".join((wanted_set.hash, *sorted(marks))), *(each.oid for each in some))
        ),
    }
    return Drafted(
        {each.oid: each.name for each in placed},
        tuple(alike),
        tuple(blocked),
        seen,
        hash_of(seen, alike, blocked),
        {each.oid: each for each in placed},
        frozenset().union(*(each.etags for each in found.alike)),
    )


def _without(alike: Alike, excluded: Collection[tuple[str, str, str]]) -> Alike | None:
    """Less the organizations in which this record was excluded; None when none is left."""
    if alike.key not in {(section, name) for _, section, name in excluded}:
        return alike
    kept = {
        oid: etag for oid, etag in alike.etags.items() if (oid, alike.section, alike.name) not in excluded
    }
    return replace(alike, etags=kept) if kept else None


@dataclass(frozen=True)
class Compared:
    """Everything that differs, before it is asked what may be planned of it."""

    placed: list[Placed]
    """All that were looked at."""
    blocked: list[tuple[str, str]]
    """(oid, reason): these were not compared."""
    alike: list[Alike]
    """Excluded ones too."""

    @property
    def changes(self) -> Iterator[Change]:
        """One by one: organization by organization, by section and name."""
        return unfolded(self.alike, (each.oid for each in self.placed))


def compared(connection: Connection, *, scope: str, key: bytes, ignore_frozen: bool = False) -> Compared:
    """Compare what is wanted with what there is; arguments as of `drafted`."""
    placed = wanted(connection, scope, key)
    blocked: list[tuple[str, str]] = []
    ready: list[Placed] = []
    unread = _unread(connection, [each.oid for each in placed])
    for wanted_set, marks, some in runs(placed):
        if wanted_set.blocked:
            blocked += [(each.oid, wanted_set.blocked[0]) for each in some]
        elif "frozen" in marks and not ignore_frozen:
            blocked += [(each.oid, "It is frozen: no rollout until the mark is taken away.") for each in some]
        elif unread:
            blocked += [(each.oid, unread[each.oid]) for each in some if each.oid in unread]
            ready += [each for each in some if each.oid not in unread]
        else:
            ready += some
    return Compared(placed, blocked, _Comparing(connection, key).alike(ready))


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


def hash_of(seen: Mapping[str, Any], alike: Iterable[Alike], blocked: Iterable[tuple[str, ...]]) -> str:
    """What an approval signs: SHA-256 over what a plan rests on and every change in it."""
    lines: dict[tuple[Any, ...], list[str]] = {}
    said: dict[int, str] = {}

    def text(metadata: Mapping[str, Any] | None) -> str:
        # Thousands of records share one mapping: it is written out once.
        if id(metadata) not in said:
            said[id(metadata)] = canonical(None if metadata is None else dict(metadata)).decode()
        return said[id(metadata)]

    wants: dict[int, tuple[Any, ...] | None] = {id(None): None}
    key: tuple[Any, ...]
    # Held on to: what is known by its identity must not go meanwhile.
    for each in (every := list(alike)):
        before, after = each.before, each.after
        if id(after) not in wants and after is not None:
            wants[id(after)] = (after.hash, text(after.metadata), after.template, after.version)
        if before is None:
            key = (each.section, each.name, each.change, None, None, wants[id(after)])
            lines.setdefault(key, []).extend(each.etags)
        else:
            key = (
                each.section, each.name, each.change, before.hash, text(before.metadata), wants[id(after)],
            )  # fmt: skip
            lines.setdefault(key, []).extend(map(" ".join, each.etags.items()))
    groups = sorted([canonical(key).decode(), _digest_of_lines(sorted(some))] for key, some in lines.items())
    del every
    return _digest({"seen": dict(seen), "changes": groups, "blocked": [list(each) for each in blocked]})


class _Comparing:
    def __init__(self, connection: Connection, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._forms: dict[tuple[str, str], tuple[str, str]] = {}
        """(section, hash of the stored content) -> (hash of its form, what a document calls it)."""
        self._said: dict[str, Mapping[str, Any]] = {}

    def alike(self, placed: list[Placed]) -> list[Alike]:
        """What differs."""
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
        for oid in self._moved(rows, known):
            del known[oid]
        whole: list[Placed] = []
        turned: dict[tuple[str, str], list[Placed]] = {}
        for wanted_set, _, some in runs(placed):
            if wanted_set.own:
                whole += some
                continue
            states = [known.get(each.oid) for each in some]
            for state, run in groupby(zip(states, some, strict=True), itemgetter(0)):
                if state is None:
                    whole += [each for _, each in run]
                elif state[1] != wanted_set.hash:
                    turned.setdefault((state[1], wanted_set.hash), []).extend(each for _, each in run)
        found: list[Alike] = []
        for (before, _), some in turned.items():
            old = self._set(before)
            if old is None:
                whole += some
            else:
                found += self._turned(old, some)
        gathering = Gathering()
        for each in whole:
            for change in self._whole(each):
                gathering.add(change)
        return found + gathering.alike()

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

    def _turned(self, old: Mapping[Key, tuple[str, Any]], some: list[Placed]) -> Iterator[Alike]:
        """Organizations that were as the old set wanted: only where the sets differ can anything differ."""
        new = some[0].wanted.records
        oids = {each.oid for each in some}
        for key in old.keys() | new.keys():
            if key in old and key in new and old[key] == (new[key].hash, _said(new[key].metadata)):
                continue
            owned, want = self._owning(key, oids), new.get(key)
            held = self._held(key, oids)
            missing = dict.fromkeys(oids.difference(*(etags for _, etags in held)), "")
            for observed, etags in (*held, (None, missing)):
                for owns, each in _by_owned(etags, owned):
                    word = self._differs(key, want, observed, owns) if each else None
                    if word is not None:
                        yield Alike(*key, word, observed, want, each)

    def _held(self, key: Key, oids: set[str]) -> list[tuple[Observed, dict[str, str]]]:
        """A record in every organization that has it: those with the same together, with their etags."""
        section, name = key
        there = [_RECORD.c.section == section, _RECORD.c.valid_to.is_(None)]
        if section != "installation_key":
            there.append(_RECORD.c.name == (name.partition("/")[2] if section == "yara" else name))
        # SQLite has JSON as text, and a cast of ten thousand texts takes a tenth of the question.
        as_it_is = self._connection.dialect.name == "sqlite"
        said_as = type_coerce(_RECORD.c.metadata, Text) if as_it_is else cast(_RECORD.c.metadata, Text)
        same = (_RECORD.c.name, _RECORD.c.hash, said_as)
        # A row for each look that the record has, and not for each organization.
        rows = self._connection.execute(
            select(
                *same, func.count(), func.aggregate_strings(_RECORD.c.oid, _BETWEEN),
                func.aggregate_strings(_RECORD.c.etag, _BETWEEN),
            )
            .where(*there)
            .group_by(*same)
        ).fetchall()  # fmt: skip
        found: list[tuple[Observed, dict[str, str]]] = []
        for each, digest, said, count, listed, etags in rows:
            form, called = self._form(section, each, digest)
            if called != name:
                continue
            held = dict(zip(listed.split(_BETWEEN), etags.split(_BETWEEN), strict=False))
            if not len(held) == count == etags.count(_BETWEEN) + 1:
                # An etag is whatever the cloud says, and this one looks like two.
                held = dict(
                    self._connection.execute(
                        select(_RECORD.c.oid, _RECORD.c.etag).where(
                            *there, same[0] == each, same[1] == digest, same[2] == said
                        )
                    ).fetchall()
                )
            if not held.keys() <= oids:
                held = {oid: etag for oid, etag in held.items() if oid in oids}
            if held:
                found.append((Observed(form, self._metadata(said), "", digest), held))
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
        word = self._differs(key, want, held, owned)
        return None if word is None else Change(oid, *key, word, held, want)

    def _differs(
        self, key: Key, want: Want | None, held: Observed | None, owned: str | None
    ) -> ChangeClass | None:
        """What is to become of a record; None when nothing is."""
        section, name = key
        if want is None:
            # Which names of a category of resources a template brought is not known: the category stays.
            gone = held is not None and owned is not None and section != "resource"
            return "removed" if gone else None
        if held is None:
            unseen = f"{section}/{name}".startswith(UNSEEN) and owned == want.hash
            return None if unseen else "added"
        if section == "extension":
            return None
        if section == "resource":
            return "changed" if self._lacks(want, held) else None
        different = (owned != want.hash) if section in UNREADABLE else (held.hash != want.hash)
        if different:
            return "changed"
        if want.metadata is None or not section.startswith("hive/") or want.metadata == held.metadata:
            return None
        on, was = want.metadata["enabled"], held.metadata["enabled"]
        if on != was:
            return "enabled" if on else "disabled"
        return "changed"

    def _lacks(self, want: Want, held: Observed) -> bool:
        """Whether a category of resources lacks a name; more than is wanted is fine."""
        if want.hash == held.hash:
            return False
        body = self._connection.execute(
            select(_CONTENT.c.body).where(_CONTENT.c.hash == held.body)
        ).scalar_one()
        return not set(want.names) <= set(json.loads(unpack(body)))


def _by_owned(etags: dict[str, str], owned: Mapping[str, str]) -> Iterable[tuple[str | None, dict[str, str]]]:
    """Organizations by what a template wrote there last."""
    if not owned:
        return ((None, etags),)
    found: dict[str | None, dict[str, str]] = {}
    for oid, etag in etags.items():
        found.setdefault(owned.get(oid), {})[oid] = etag
    return found.items()


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
