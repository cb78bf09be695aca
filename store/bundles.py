"""What a bundle holds of the store, row by row: the configuration, access and alerts of some organizations.

`PARTS` says for every table what a bundle takes of it, or why nothing; a table without a line fails a test.
`rows` writes a bundle's parts; `Taking` makes an empty store of them. What is taken in was written by a
stranger until proven otherwise, and is no more believed afterwards: every value has the type of its column,
every row belongs to an organization that the bundle names, contents are what their digests say, and alerts go
the way of those that LimaCharlie sends. What else is derived (folds, counters, the text index) is made anew.
"""

import base64
import binascii
import hashlib
import json
import math
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import SQLModel

from store import accesshistory, customers, folds, ingest, tree
from store.alerts import CLASSIFICATIONS, FOREVER, SEVERITIES, STATUSES, WOKEN
from store.bodies import pack, unpack
from store.configuration import canonical, content_hash
from store.database import Store
from store.errors import StoreError
from store.models.base import Model
from store.queries.scopes import oids_of

OWN: Final = "own"
"""Rows of the organizations, by the column `oid`."""
GROUPS: Final = "groups"
"""Of the groups that any of the organizations is in, by the column `gid`."""
SPECIAL: Final = "special"
"""As a function here says."""
NOTHING: Final = ""

PARTS: Final[dict[str, tuple[str, str]]] = {
    "organization": (OWN, ""),
    "node": (SPECIAL, "their nodes and those above them"),
    "sync_state": (SPECIAL, "theirs, and when the lists of all organizations were read"),
    "organization_error": (OWN, ""),
    "usage": (OWN, ""),
    "quota_reading": (OWN, ""),
    "customer_document": (OWN, ""),
    "sensor": (OWN, ""),
    "configuration_body": (SPECIAL, "what their records say"),
    "configuration_record": (OWN, ""),
    "organization_group": (GROUPS, ""),
    "group_organization": (OWN, ""),
    "group_member": (GROUPS, ""),
    "group_role": (GROUPS, ""),
    "direct_permission": (OWN, ""),
    "api_key": (OWN, ""),
    "access_former": (SPECIAL, "what was granted in them before, and of groups while these held them"),
    "user_account": (SPECIAL, "who has anything in them, or had"),
    "access_event": (OWN, ""),
    "audit_entry": (OWN, ""),
    "audit_use": (OWN, ""),
    "fold_key": (SPECIAL, "of the rules of their alerts"),
    "detection": (SPECIAL, "with event, state and snooze"),
    "case_configuration": (OWN, ""),
    "case_record": (OWN, ""),
    "case_reading": (OWN, ""),
    "case_detection": (OWN, ""),
    "case_event": (OWN, ""),
    "case_item": (OWN, ""),
    "detection_body": (NOTHING, "with the alerts"),
    "snooze": (NOTHING, "with the alerts"),
    **dict.fromkeys(
        ("alert_label", "detection_count", "detection_text", "fold", "organization_change", "sighting",
         "storm"),
        (NOTHING, "made anew"),
    ),
    **dict.fromkeys(
        ("journal", "preference", "saved_queue", "queue_look", "sync_run", "handover", "handover_item",
         "campaign", "campaign_alert", "campaign_note", "case_edit", "triage_action", "triage_change",
         "run", "run_item", "run_step", "lcql_search", "lcql_organization", "lcql_row",
         "access_deadline", "access_file", "access_plan", "access_review", "access_step", "break_glass",
         "review_content", "review_decision", "review_line", "staged_change",
         "rollout_approval", "rollout_body", "rollout_lease", "rollout_plan", "rollout_step", "rollout_wave"),
        (NOTHING, "what was decided and done here, which may be about others too"),
    ),
    **dict.fromkeys(
        ("drift_decision", "template_assignment", "template_content", "template_file", "template_owned",
         "template_version", "wanted_content", "wanted_state"),
        (NOTHING, "templates, and what they want"),
    ),
    **dict.fromkeys(("price_book", "vendor_invoice"), (NOTHING, "prices")),
}  # fmt: skip
"""Table -> how, and what is said of it. In the order in which they are taken in."""

HELD: Final = tuple(name for name, (how, _) in PARTS.items() if how != NOTHING)
"""The parts of every bundle, in their order; one with nothing in it is there too."""

LEFT_OUT: Final = (
    "decisions, plans, runs, reviews and the journal: they may be about other organizations too",
    "templates and what they want of these organizations, and so drift",
    "prices and invoices",
    "secrets, which are not in the store",
)
"""What no bundle holds."""

FULL: Final = "full"
NO_EVENTS: Final = "no-events"
NO_PEOPLE: Final = "no-people"
PROFILES: Final[dict[str, tuple[str, ...]]] = {
    FULL: (),
    NO_EVENTS: (
        "events: of an alert its rule, severity, state and times are left, without host and sensor",
        "sensors and cases",
    ),
    NO_PEOPLE: (
        "events: of an alert its rule, severity, state and times are left, without host and sensor",
        "sensors and cases",
        "people: who had an address or acted has a number instead, and contacts of customers are left out",
    ),
}
"""Redaction profile -> what it leaves out besides."""

_TABLES: Final = SQLModel.metadata.tables
_WITHOUT_EVENTS: Final = frozenset(
    ("sensor", *(name for name in PARTS if name.startswith("case_")))
)  # fmt: skip
_WITH_BODY: Final = frozenset(("configuration_body", "detection", "case_record"))
_MADE_HERE: Final = {"configuration_record": "id", "access_event": "id", "access_former": "id"}
"""Numbers that the store gives, and that nothing refers to."""
_FORMER_OWN: Final = frozenset(("direct", "held", "key"))
_FORMER_OF_GROUPS: Final = frozenset(("group", "member", "owner"))
"""Kinds of `access_former`: of an organization, and of a group."""
_CHUNK: Final = 400
"""Organizations of one query."""
_STEP: Final = 400
"""Rows of one transaction."""
_STREAMED: Final = {"yield_per": _STEP}
_FILLED: Final = 16 * 1024 * 1024
"""Bytes of rows after which they are put in, however few they are."""
_SPENT: Final = 2**62
"""Milliseconds that all alerts took: a fold has the sum over its own as one number."""
_TREE: Final = 64 * 1024 * 1024
"""Bytes of all nodes, which are put in at once."""
_LEVELS: Final = 100
"""Of a tree: each node has the names of all that are above it."""

LONGEST: Final = 96 * 1024 * 1024
"""Bytes of one row with a body; a larger one is not read. A body has at most two thirds of that."""
LONGEST_PLAIN: Final = 8 * 1024 * 1024
"""The same of a row without one: read, JSON of nothing but brackets takes thirty times its bytes."""

_ADDRESS: Final = re.compile(r"[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*")
_PEOPLE: Final = frozenset(("actor", "applied_by", "assignee", "author", "by", "created_by", "email"))
"""Columns that say who somebody is, with an address or without."""
_DIGESTS: Final = frozenset(("digest", "file_hash"))
"""Columns that are made of a row as it was: whoever guesses an address could see there that it fits."""
_WORKPLACE: Final = {"cursor": "", "fingerprint": ""}
"""What `sync_state` goes on with, which nobody does who has a bundle; made of answers as they were."""


class BadBundle(StoreError):
    """It does not say what a bundle says; the text tells what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a bundle is about."""

    node: str
    """Of the tree; "" for everything."""
    path: str
    oids: tuple[str, ...]
    names: Mapping[str, str]
    """By oid."""
    unread: tuple[tuple[str, str, str], ...]
    """(oid, subject, why) of what is not whole: it was never read, or not any more."""


def scope(c: Connection, node: str) -> Scope:
    """Which organizations are below a node ("" for all), and what of them is not whole."""
    organization, state, table = _TABLES["organization"], _TABLES["sync_state"], _TABLES["node"]
    below = oids_of(c, node)
    query = select(organization.c.oid, organization.c.name).order_by(organization.c.oid)
    if below is not None:
        query = query.where(organization.c.oid.in_(below))
    names = {oid: name or oid for oid, name in c.execute(query)}
    path = c.execute(select(table.c.path).where(table.c.id == node)).scalar() if node else ""
    unread = []
    for part in _chunks(list(names)):
        read = {(row.oid, row.subject): row for row in c.execute(select(state).where(state.c.oid.in_(part)))}
        for oid in part:
            for subject in ("configuration", "access", "detections"):
                row = read.get((oid, subject))
                if row is None or row.checked_at is None:
                    unread.append((oid, subject, str(row.reason) if row is not None else "it was never read"))
                elif row.failure:
                    unread.append((oid, subject, str(row.reason)))
    return Scope(node, str(path or ""), tuple(names), names, tuple(unread))


# Writing


class Redaction:
    """What a profile makes of a row; the same person is the same number all through a bundle."""

    def __init__(self, profile: str, keys: Iterable[str] = ()) -> None:
        """Args:
        profile: of PROFILES.
        keys: what the API keys are called: one that acted is nobody, and keeps its name.
        """
        self.profile = profile
        self._keys = frozenset(keys)
        self._numbers: dict[str, tuple[int, dict[str, int]]] = {}
        self._hashes: dict[str, str] = {}
        self._salt = secrets.token_bytes(32)

    def of(self, table: str, row: dict[str, Any]) -> dict[str, Any] | None:
        """The row as it goes into the bundle; None when it does not."""
        if self.profile == FULL:
            return row
        if table in _WITHOUT_EVENTS:
            return None
        if table == "detection":
            row = row | {"hostname": "", "sid": "", "body": ""}
            if row["snooze"]:
                row["snooze"] = row["snooze"] | {"reason": "", "woken_by": ""}
        if self.profile == NO_EVENTS:
            return row
        if table == "customer_document":
            return None
        if table == "configuration_body":
            body = self._without(json.loads(base64.b64decode(row["body"])))
            digest = self._hashes[row["hash"]] = content_hash(body)
            return {"hash": digest, "body": base64.b64encode(canonical(body)).decode()}
        # The entry as received says once more who acted, without an address it is known only from here.
        own = {value.lower() for key, value in row.items() if key in _PEOPLE and isinstance(value, str)}
        made: dict[str, Any] = {
            key: self._named(value)
            if key in _PEOPLE and isinstance(value, str)
            else self._digest(value)
            if key in _DIGESTS
            else self._without(value, own if isinstance(value, dict) else ())
            for key, value in row.items()
        }
        if row.get("snooze"):
            made["snooze"]["by"] = self._named(row["snooze"]["by"])
        if table == "configuration_record":
            made["hash"] = self._hashes[row["hash"]]
        if table == "user_account":
            made["uid"] = ""
        if table == "access_former" and row["kind"] != "key":
            made["principal"] = self._number(row["principal"])
        if table == "sync_state":
            made |= _WORKPLACE
        return made

    def said(self, words: str) -> str:
        """A text as it goes into the bundle."""
        made: str = self._without(words) if self.profile == NO_PEOPLE else words
        return made

    def _digest(self, value: str) -> str:
        return hashlib.blake2b(value.encode(), key=self._salt, digest_size=32).hexdigest()

    def _named(self, who: str) -> str:
        return self.said(who) if who in self._keys else self._number(who)

    def _number(self, person: str) -> str:
        if not person:
            return ""
        # Logs spell addresses as they like. One person is one number; what was told apart by its spelling
        # stays so, or two rows were the same one.
        number, spellings = self._numbers.setdefault(person.lower(), (len(self._numbers) + 1, {}))
        which = spellings.setdefault(person, len(spellings))
        word = "".join(letter.upper() if which >> at & 1 else letter for at, letter in enumerate("person"))
        return f"{word}-{number}@removed.invalid" + (f".{which >> 6}" if which >> 6 else "")

    def _without(self, value: Any, own: Collection[str] = ()) -> Any:
        if isinstance(value, str):
            if value.lower() in own:
                return self._named(value)
            return _ADDRESS.sub(lambda found: self._number(found[0]), value) if "@" in value else value
        if isinstance(value, dict):
            return {self._without(key): self._without(each, own) for key, each in value.items()}
        if isinstance(value, list):
            return [self._without(each, own) for each in value]
        return value


def redaction(c: Connection, wanted: Scope, profile: str) -> Redaction:
    """What a profile makes of the rows of a scope, and of the texts about them."""
    key = _TABLES["api_key"]
    names: set[str] = set()
    for part in _chunks(wanted.oids):
        names.update(c.execute(select(key.c.name).where(key.c.oid.in_(part)).distinct()).scalars())
    return Redaction(profile, names - {""})


def rows(
    c: Connection, wanted: Scope, redacted: Redaction, *, since: int | None = None
) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """The parts of a bundle, each with its rows as JSON data, in the order in which they are taken in.

    A part has to be read to its end before the next one is asked for.

    Args:
        c: sees one moment of the store (`Reader.reading`).
        redacted: of the same scope.
        since: alerts before it (ms) are left out, and entries of the audit log.
    """
    for name in HELD:
        yield name, _redacted(redacted, name, _read(c, name, PARTS[name][0], wanted, since))


def _redacted(redacted: Redaction, name: str, found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for row in found:
        made = redacted.of(name, row)
        if made is None:
            continue
        if name == "configuration_body":  # without the people, two may be the same
            if made["hash"] in seen:
                continue
            seen.add(made["hash"])
        yield made


def _read(c: Connection, name: str, how: str, wanted: Scope, since: int | None) -> Iterator[dict[str, Any]]:
    if name == "node":
        yield from _nodes(c, wanted)
    elif name == "user_account":
        yield from _people(c, wanted)
    elif name == "access_former":
        yield from _former(c, wanted)
    elif name == "fold_key":
        yield from _keys(c, wanted)
    elif name == "configuration_body":
        yield from _contents(c, wanted)
    elif how == GROUPS:
        gids = _gids(c, wanted)
        for part in _chunks(sorted(gids)):
            yield from _plain(c, _TABLES[name], _TABLES[name].c.gid.in_(part))
    elif name == "detection":
        for part in _chunks(wanted.oids):
            yield from _alerts(c, part, since)
    else:
        for part in _chunks(wanted.oids):
            conditions: list[ColumnElement[bool]] = [_TABLES[name].c.oid.in_(part)]
            if name in ("audit_entry", "access_event") and since is not None:
                conditions.append(_TABLES[name].c.time >= since)
            yield from _plain(c, _TABLES[name], *conditions)
        if name == "sync_state":
            for row in _plain(c, _TABLES[name], _TABLES[name].c.oid == ""):
                # When the lists of everything were read; what went wrong may be about others.
                yield row | _WORKPLACE | {"failure": "", "reason": "", "stale": ""}


def _plain(c: Connection, table: Table, *conditions: Any) -> Iterator[dict[str, Any]]:
    query = select(table).where(*conditions).order_by(*table.primary_key.columns)
    left = _MADE_HERE.get(table.name)
    for row in c.execute(query, execution_options=_STREAMED):
        yield {
            column.name: _told(column, value)
            for column, value in zip(table.columns, row, strict=True)
            if column.name != left
        }


def _told(column: Column[Any], value: Any) -> Any:
    if isinstance(column.type, LargeBinary) and value is not None:
        return base64.b64encode(unpack(value)).decode()
    return value


def _nodes(c: Connection, wanted: Scope) -> Iterator[dict[str, Any]]:
    everything = tree.stored_tree(c)
    parents = {each.id: each.parent for each in everything}
    kept: set[str] = set()
    inside = set(wanted.oids)
    for node in everything:
        above: str | None = node.id
        if node.oid is None or node.oid not in inside:
            continue
        while above is not None and above not in kept:
            kept.add(above)
            above = parents[above]
    for node in everything:
        if node.id not in kept:
            continue
        # An organization above one of the scope is the name of a folder; what it is itself is not told.
        own = node.oid is None or node.oid in inside
        yield {
            "id": node.id, "parent": node.parent, "name": node.name, "oid": node.oid if own else None,
            "labels": dict(node.labels) if own else {}, "parameters": dict(node.parameters) if own else {},
            "marks": list(node.marks),
        }  # fmt: skip


def _gids(c: Connection, wanted: Scope) -> set[str]:
    table = _TABLES["group_organization"]
    found: set[str] = set()
    for part in _chunks(wanted.oids):
        found.update(c.execute(select(table.c.gid).where(table.c.oid.in_(part)).distinct()).scalars())
    return found


def _people(c: Connection, wanted: Scope) -> Iterator[dict[str, Any]]:
    direct, member = _TABLES["direct_permission"], _TABLES["group_member"]
    found: set[str] = set()
    for part in _chunks(wanted.oids):
        found.update(c.execute(select(direct.c.email).where(direct.c.oid.in_(part)).distinct()).scalars())
    for part in _chunks(sorted(_gids(c, wanted))):
        found.update(c.execute(select(member.c.email).where(member.c.gid.in_(part)).distinct()).scalars())
    found.update(
        row["principal"] for row in _former(c, wanted) if row["kind"] in ("direct", "member", "owner")
    )
    account = _TABLES["user_account"]
    for part in _chunks(sorted(found)):
        yield from _plain(c, account, account.c.email.in_(part))


def _former(c: Connection, wanted: Scope) -> Iterator[dict[str, Any]]:
    """What was granted before in the organizations; then of groups what they were while they held any of
    them. A group that holds none of them any more is told up to its end there."""
    table, holds = _TABLES["access_former"], _TABLES["group_organization"]
    spans: dict[str, tuple[int, int | None]] = {}
    for part in _chunks(wanted.oids):
        for row in _plain(c, table, table.c.oid.in_(part)):
            if row["kind"] == "held":
                first, last = spans.get(row["gid"], (row["valid_from"], row["valid_to"]))
                spans[row["gid"]] = (
                    min(first, row["valid_from"]),
                    None if last is None else max(last, row["valid_to"]),
                )
            yield row
    for part in _chunks(wanted.oids):
        for gid, since in c.execute(select(holds.c.gid, holds.c.valid_from).where(holds.c.oid.in_(part))):
            first, _ = spans.get(gid, (since, None))
            spans[gid] = (min(first, since), None)
    for gid, (first, end) in sorted(spans.items()):
        here = [table.c.gid == gid, table.c.kind.in_(_FORMER_OF_GROUPS), table.c.valid_to > first]
        if end is None:
            yield from _plain(c, table, *here)
            continue
        for row in _plain(c, table, *here, table.c.valid_from < end):
            yield row | {"valid_to": min(row["valid_to"], end)}
        for name in ("organization_group", "group_member"):
            still = _TABLES[name]
            for now in c.execute(select(still).where(still.c.gid == gid, still.c.valid_from < end)):
                made = accesshistory.former(name, now._mapping)
                yield made | {"valid_from": now.valid_from, "valid_to": end}


def _contents(c: Connection, wanted: Scope) -> Iterator[dict[str, Any]]:
    record, body = _TABLES["configuration_record"], _TABLES["configuration_body"]
    hashes: set[str] = set()
    for part in _chunks(wanted.oids):
        hashes.update(c.execute(select(record.c.hash).where(record.c.oid.in_(part)).distinct()).scalars())
    for part in _chunks(sorted(hashes)):
        yield from _plain(c, body, body.c.hash.in_(part))


def _keys(c: Connection, wanted: Scope) -> Iterator[dict[str, Any]]:
    """How alerts are folded, as far as these organizations have such alerts."""
    alert, table = _TABLES["detection"], _TABLES["fold_key"]
    for row in _plain(c, table):
        named = or_(alert.c.rule == row["rule"], and_(alert.c.rule == "", alert.c.cat == row["rule"]))
        for part in _chunks(wanted.oids):
            query = select(alert.c.id).where(alert.c.oid.in_(part), named).limit(1)
            if row["rule"] == folds.ALL or c.execute(query).first() is not None:
                yield row
                break


_STATE: Final = (
    "severity", "time", "rank", "status", "classification", "assignee", "acknowledged_at", "resolved_at",
    "snoozed_until", "version", "due_at", "tags",
)  # fmt: skip
_SNOOZE: Final = ("until", "more", "event", "reason", "by", "at", "woken_at", "woken_by")
_SAID: Final = ("oid", "detect_id", "cat", "rule", "hostname", "sid", "event_type", "priority", "damaged")


def _alerts(c: Connection, oids: Sequence[str], since: int | None) -> Iterator[dict[str, Any]]:
    alert, body, snooze = _TABLES["detection"], _TABLES["detection_body"], _TABLES["snooze"]
    query = (
        select(
            *(alert.c[name] for name in (*_SAID, *_STATE)),
            body.c.body,
            snooze.c.detection_id,
            *(snooze.c[name].label(f"snooze_{name}") for name in _SNOOZE),
        )
        .select_from(
            alert.outerjoin(body, body.c.detection_id == alert.c.id).outerjoin(
                snooze, snooze.c.detection_id == alert.c.id
            )
        )
        .where(alert.c.oid.in_(oids))
        .order_by(alert.c.id)
    )
    if since is not None:
        query = query.where(alert.c.time >= since)
    for row in c.execute(query, execution_options=_STREAMED).mappings():
        yield {
            **{name: row[name] for name in (*_SAID, *_STATE)},
            "body": base64.b64encode(unpack(row["body"])).decode() if row["body"] is not None else "",
            "snooze": {name: row[f"snooze_{name}"] for name in _SNOOZE}
            if row["detection_id"] is not None
            else None,
        }


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(values), _CHUNK):
        yield values[at : at + _CHUNK]


# Reading


class Taking:
    """An empty store that a bundle's rows are put into."""

    def __init__(self, store: Store, oids: Collection[str]) -> None:
        """Args:
        oids: the organizations that the bundle says it is about.
        """
        self._store = store
        self._oids = frozenset(oids)
        self._gids: set[str] = set()
        self._former_gids: set[str] = set()
        self._hashes: set[str] = set()
        self._found: set[str] = set()
        self._spent = 0
        self._lacking = list(HELD)

    def take(self, name: str, lines: Iterable[bytes], step: Callable[[int], object] = lambda _: None) -> int:
        """Put the rows of one part in; answers how many.

        Args:
            name: the part, of PARTS. They have to come in its order.
            lines: each one row, JSON.
            step: told how many there are so far.

        Raises:
            BadBundle: a row is not what it has to be. What came before it is in the store, which is of no
                use any more.
        """
        if name not in HELD:
            raise BadBundle(f"It has a part {name!r}, which no bundle has.")
        if [name] != self._lacking[:1]:
            raise BadBundle(f"{name}: it is not where that part of a bundle is, or another one is missing.")
        del self._lacking[0]
        done = size = 0
        batch: list[dict[str, Any]] = []
        for number, line in enumerate(lines, 1):
            size += len(line)
            if name == "node" and size > _TREE:
                raise BadBundle("The tree in it is none: it is larger than any.")
            batch.append(self._row(name, number, line))
            # A tree is put in as a whole.
            if name != "node" and (len(batch) == _STEP or size > _FILLED):
                self._put(name, batch)
                done += len(batch)
                step(done)
                batch, size = [], 0
        if batch:
            self._put(name, batch)
        if name == "organization" and self._found != self._oids:
            raise BadBundle("organization: it does not have all organizations that the bundle names.")
        return done + len(batch)

    def finish(self) -> None:
        """Make what is derived, once all parts are in.

        Raises:
            BadBundle: a part is missing, or its alerts come to what no store holds.
        """
        if self._lacking:
            raise BadBundle(f"It does not have the part {self._lacking[0]}.")
        count, alert = _TABLES["detection_count"], _TABLES["detection"]
        with self._store.writing() as c:
            c.execute(text("DELETE FROM detection_count"))
            key = (alert.c.oid, alert.c.severity, alert.c.status)
            c.execute(
                insert(count).from_select(
                    ["oid", "severity", "status", "count"], select(*key, func.count()).group_by(*key)
                )
            )
            self._store.touched("detection_count")
        after: int | None = 0
        while after is not None:
            with _held("detection"), self._store.writing() as c:
                after = folds.recount_next(c, after)

    def _row(self, name: str, number: int, line: bytes) -> dict[str, Any]:
        where = f"{name}, row {number}"
        if len(line) > (LONGEST if name in _WITH_BODY else LONGEST_PLAIN):
            raise BadBundle(f"{where}: it is larger than any row of a bundle.")
        try:
            row = json.loads(line, parse_constant=_no_number, parse_float=_number, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            raise BadBundle(f"{where}: it is not the JSON of one row.") from None
        if not isinstance(row, dict):
            raise BadBundle(f"{where}: it is not the JSON of one row.")
        if name == "node":
            return _node(row, where, self._oids)
        if name == "detection":
            _alert(row, where)
        else:
            left = _MADE_HERE.get(name)
            _fits(row, [each for each in _TABLES[name].columns if each.name != left], where)
        if name in ("detection", "case_record"):
            _ranked(row, where)
        if name == "detection":
            if None not in (row["resolved_at"], row["acknowledged_at"]):
                self._spent += max(0, row["resolved_at"] - row["acknowledged_at"])
            if self._spent > _SPENT:
                raise BadBundle(f"{where}: it and those before it took longer than a store can add up.")
        self._belongs(name, row, where)
        return row

    def _belongs(self, name: str, row: Mapping[str, Any], where: str) -> None:
        oid = row.get("oid")
        of_none = oid == "" and (name == "sync_state" or row.get("kind") in _FORMER_OF_GROUPS)
        if oid is not None and oid not in self._oids and not of_none:
            raise BadBundle(f"{where}: it is of an organization that the bundle does not name.")
        if name == "organization":
            self._found.add(row["oid"])
        if name == "organization_group":
            self._gids.add(row["gid"])
        elif name == "access_former":
            self._belonged(row, where)
        elif "gid" in row and name != "access_event" and row["gid"] not in self._gids:
            raise BadBundle(f"{where}: it is of a group that the bundle does not have.")
        if name == "configuration_record" and row["hash"] not in self._hashes:
            raise BadBundle(f"{where}: the bundle does not have its content.")

    def _belonged(self, row: Mapping[str, Any], where: str) -> None:
        """What was granted before has to be of an organization, or of a group that held one."""
        kinds = _FORMER_OWN if row["oid"] else _FORMER_OF_GROUPS
        if row["kind"] not in kinds or row["valid_from"] >= row["valid_to"]:
            raise BadBundle(f"{where}: it is nothing that was granted once.")
        if row["kind"] == "held":
            self._former_gids.add(row["gid"])
        elif not row["oid"] and row["gid"] not in self._gids | self._former_gids:
            raise BadBundle(f"{where}: it is of a group that the bundle does not have.")

    def _put(self, name: str, batch: list[dict[str, Any]]) -> None:
        with _held(name):
            self._put_in(name, batch)

    def _put_in(self, name: str, batch: list[dict[str, Any]]) -> None:
        with self._store.writing() as c:
            if name == "node":
                _refuse_deep(batch)
                try:
                    tree.replace_tree(c, [tree.TreeNode(**row) for row in batch])
                except tree.TreeError as error:
                    raise BadBundle(f"The tree in it is none: {error}") from error
            elif name == "detection":
                self._put_alerts(c, batch)
            elif name == "configuration_body":
                for row in batch:
                    _content(row)
                self._hashes.update(row["hash"] for row in batch)
                c.execute(insert(_TABLES[name]), batch)
            else:
                if name == "customer_document":
                    for row in batch:
                        _documentation(row)
                self._insert(c, name, batch)

    def _insert(self, c: Connection, name: str, batch: list[dict[str, Any]]) -> None:
        table = _TABLES[name]
        binary = [each.name for each in table.columns if isinstance(each.type, LargeBinary)]
        for row in batch:
            for key in binary:
                row[key] = pack(row[key])
        c.execute(insert(table), batch)

    def _put_alerts(self, c: Connection, batch: Sequence[dict[str, Any]]) -> None:
        alert = _TABLES["detection"]
        by_oid: dict[str, list[dict[str, Any]]] = {}
        for row in batch:
            by_oid.setdefault(row["oid"], []).append(row)
        for oid, mine in by_oid.items():
            new = [_detection(row) for row in mine]
            if ingest.put_detections(c, oid, new) != len(mine):
                raise BadBundle(f"detection: the same alert of {oid} is in it twice.")
            ids = [row["detect_id"] for row in mine]
            found = {
                row.detect_id: (row.id, row.fold_id)
                for row in c.execute(
                    select(alert.c.id, alert.c.detect_id, alert.c.fold_id).where(
                        alert.c.oid == oid, alert.c.detect_id.in_(ids)
                    )
                )
            }
            c.execute(
                update(alert)
                .where(alert.c.id == bindparam("number"))
                .values({key: bindparam(f"new_{key}") for key in _STATE}),
                [
                    {"number": found[row["detect_id"]][0]} | {f"new_{key}": row[key] for key in _STATE}
                    for row in mine
                ],
            )
            hidden = [
                {"detection_id": number, "oid": oid, "fold_id": fold, "action_id": 0} | row["snooze"]
                for row in mine
                if row["snooze"] is not None
                for number, fold in (found[row["detect_id"]],)
            ]
            if hidden:
                c.execute(insert(_TABLES["snooze"]), hidden)


@contextmanager
def _held(name: str) -> Iterator[None]:
    """What no database takes is the bundle's fault; that one is full is not."""
    try:
        yield
    except IntegrityError as error:
        raise BadBundle(f"{name}: the same row is in it twice, or refers to one that is not.") from error
    except (OverflowError, StatementError) as error:
        if isinstance(error, DBAPIError):
            raise
        raise BadBundle(f"{name}: there is a number in it that no store holds.") from error


def _no_number(_: str) -> Any:
    raise ValueError("no number of JSON")


def _number(said: str) -> float:
    number = float(said)
    return number if math.isfinite(number) else _no_number(said)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice")
    return found


def _fits(row: dict[str, Any], columns: Collection[Column[Any]], where: str) -> None:
    """Whether a row has exactly these columns, each with a value of its type; bytes are made of base64."""
    if set(row) != {each.name for each in columns}:
        raise BadBundle(f"{where}: it does not have the columns of its table.")
    for column in columns:
        row[column.name] = _value(column, row[column.name], where)


@cache
def _shape(column: Column[Any]) -> TypeAdapter[Any]:
    """What a column of JSON may hold, as its model says: a list of texts, say, and no object."""
    [model] = [each for each in Model.__subclasses__() if each.__tablename__ == column.table.name]
    # `metadata` is a word of SQLAlchemy's; the field is called otherwise.
    field = model.model_fields.get(column.name) or model.model_fields[f"{column.name}_"]
    shape: Any = field.annotation
    return TypeAdapter(shape)


_BITS: Final = ((SmallInteger, 15), (BigInteger, 63), (Integer, 31))
_NO_TIMES: Final = frozenset(("case_number", "platform"))
"""Columns of large numbers that are no times."""
_LATEST: Final = {"due_at": FOREVER, "snoozed_until": FOREVER, "until": FOREVER}
"""Columns of times that may be later than any day of a calendar."""
_YEAR_10000: Final = 253_402_300_800_000


def _value(column: Column[Any], value: Any, where: str) -> Any:
    kind = column.type
    wrong = f"{where}: what it says as {column.name} is not of that kind."
    if value is None:
        if not column.nullable:
            raise BadBundle(wrong)
        return None
    if isinstance(kind, JSON):
        try:
            return _shape(column).validate_python(value, strict=True)
        except ValidationError:
            raise BadBundle(wrong) from None
    if isinstance(kind, Boolean):
        fits = isinstance(value, bool)
    elif isinstance(kind, Integer):
        bits = next(bits for each, bits in _BITS if isinstance(kind, each))
        fits = isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits
        if bits == 63 and column.name not in _NO_TIMES:
            fits = fits and 0 <= value <= _LATEST.get(column.name, _YEAR_10000 - 1)
    elif isinstance(kind, Float):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 63
    elif isinstance(kind, LargeBinary):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise BadBundle(wrong) from None
    else:
        fits = isinstance(value, str) and "\0" not in value and not _surrogate(value)
        fits = fits and (column.name != "day" or _is_day(value))
    if not fits:
        raise BadBundle(wrong)
    return value


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _surrogate(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _node(row: Mapping[str, Any], where: str, oids: Collection[str]) -> dict[str, Any]:
    shape = {"id": str, "name": str, "labels": dict, "parameters": dict, "marks": list}
    fits = set(row) == {*shape, "parent", "oid"} and all(
        isinstance(row[key], kind) for key, kind in shape.items()
    )
    fits = fits and all(row[key] is None or isinstance(row[key], str) for key in ("parent", "oid"))
    fits = fits and not tree.id_problem(row["id"]) and row["name"] != "" and _plain_text(row["name"])
    fits = fits and all(_plain_text(each) for pair in row["labels"].items() for each in pair)
    fits = fits and row["marks"] == [mark for mark in row["marks"] if mark in tree.MARKS]
    if not fits:
        raise BadBundle(f"{where}: it is no node of a tree.")
    if row["oid"] is not None and row["oid"] not in oids:
        raise BadBundle(f"{where}: it is of an organization that the bundle does not name.")
    return dict(row) | {"marks": tuple(row["marks"])}


def _plain_text(value: Any) -> bool:
    """Whether a tree may have it; numbers in place of addresses may have made it longer."""
    if not isinstance(value, str) or len(value) > 8 * tree.LONGEST:
        return False
    parts = (value[at : at + tree.LONGEST] for at in range(0, len(value), tree.LONGEST))
    return not any(map(tree.text_problem, parts))


def _refuse_deep(batch: Sequence[Mapping[str, Any]]) -> None:
    parents = {row["id"]: row["parent"] for row in batch}
    for each in parents:
        above, levels = parents[each], 0
        while above is not None and levels <= _LEVELS:
            above, levels = parents.get(above), levels + 1
        if levels > _LEVELS:
            raise BadBundle(
                f"The tree in it is none: {each!r} is below itself, or below more than {_LEVELS} others."
            )


def _ranked(row: Mapping[str, Any], where: str) -> None:
    known = {
        "severity": len(SEVERITIES), "status": len(STATUSES), "classification": len(CLASSIFICATIONS),
        "rank": WOKEN + 1,
    }  # fmt: skip
    if not all(0 <= row.get(name, 0) < many for name, many in known.items()):
        raise BadBundle(f"{where}: there is no such severity, status or classification.")


def _alert(row: dict[str, Any], where: str) -> None:
    alert, snooze = _TABLES["detection"], _TABLES["snooze"]
    if set(row) != {*_SAID, *_STATE, "body", "snooze"}:
        raise BadBundle(f"{where}: it does not have what an alert has.")
    for name in (*_SAID, *_STATE):
        row[name] = _value(alert.c[name], row[name], where)
    row["body"] = _value(_TABLES["detection_body"].c.body, row["body"], where)
    if row["snooze"] is not None:
        if not isinstance(row["snooze"], dict):
            raise BadBundle(f"{where}: what it says of its snooze is none.")
        _fits(row["snooze"], [snooze.c[name] for name in _SNOOZE], where)


def _detection(row: Mapping[str, Any]) -> ingest.NewDetection:
    """The alert as it would have come from LimaCharlie, under the names and times that the bundle says."""
    said = {name: row[name] for name in (*_SAID[1:], "severity", "time")}
    if not row["body"]:
        return ingest.NewDetection(**said, body=b"", values={}, tokens=None)
    read = ingest.detection_from(row["body"], row["oid"], received=row["time"])
    same = (read.cat, read.rule, read.hostname) == (said["cat"], said["rule"], said["hostname"])
    # Found by other names than the event has, it is indexed by these too.
    return replace(read, **said) if same else replace(read, **said, tokens=None, identity=None)


def _documentation(row: dict[str, Any]) -> None:
    """By its calendar clocks are reckoned: it is made anew from what the document says."""
    try:
        customer = customers.from_plain(customers.checked(row["document"]))
    except customers.CustomerError as error:
        raise BadBundle(f"customer_document: that of {row['oid']} is none: {error}") from error
    row |= {"calendar": customers.calendar_of(customer), "missing": list(customer.missing)}


def _content(row: dict[str, Any]) -> None:
    try:
        # In the one form of it: what reads it later may not be as lenient as this.
        fits = canonical(json.loads(row["body"])) == row["body"]
        fits = fits and hashlib.sha256(row["body"]).hexdigest() == row["hash"]
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise BadBundle(f"configuration_body: the content of {row['hash'][:12]} is another one.")
    row["body"] = pack(row["body"])
