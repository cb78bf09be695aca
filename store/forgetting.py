"""Forgetting an organization: nothing of it can be read back from the store afterwards.

`PLACES` says for every table what becomes of it; a table without a line fails a test. What is an
organization's own is deleted. What was written here about several (plans, reviews, runs, decisions, notes)
loses what it says of this one: its oid and its name are taken out, and what is about it alone goes whole.
What is another organization's is never touched. The journal keeps that something was done, not on whom
(`store.journal`).

`forget` deletes; `maintenance.rewrite` then writes the files anew, for what a database deletes stays on its
pages until they are used again.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    String,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import AutoString, SQLModel

from store import accesshistory, alertremoval, folds, journal, preferences, textindex, tree
from store.bodies import pack, unpack
from store.configuration import canonical, content_hash
from store.database import Store
from store.errors import StoreError
from store.journal import FORGOTTEN
from store.permissions import roles
from store.queries.scopes import marked
from store.reviews import line_digest
from store.text import Untrusted, safe_text

HOLD: Final = "hold"
"""The mark of what has to be kept as it is, for a court or an authority."""

REWRITE: Final = "store.rewrite"
"""Preference: something was forgotten, and the files were not written anew since."""

SHORTEST: Final = 3
"""Letters of a name that is looked for in texts; a shorter one is in too many words."""

OWN: Final = "own"
"""Its rows are an organization's own, by the column `oid`: deleted."""
OURS: Final = "ours"
"""Written here, about whom it may be: oid and name are taken out of its texts."""
NOTHING: Final = "nothing"
"""Says nothing of an organization."""


@dataclass(frozen=True, slots=True)
class Place:
    """What becomes of a table."""

    how: str
    """OWN, OURS or NOTHING: what is done by itself; "" when a function does all of it."""
    said: str = ""
    """What more is done, or why nothing is."""


PLACES: Final[dict[str, Place]] = {
    "access_deadline": Place(OURS, "one that is about nothing else goes"),
    "access_event": Place(OWN, "and entries of groups' logs that name it"),
    "access_file": Place(OURS),
    "access_former": Place(
        OWN, "and of groups that have to do with nobody any more; of the others, its name"
    ),
    "access_plan": Place(OURS, "one that is about nothing else goes"),
    "access_review": Place(OURS),
    "access_step": Place(OWN, "of others, what was there before"),
    "alert_label": Place("", "what no other alert is called"),
    "api_key": Place(OWN),
    "audit_entry": Place(OWN),
    "audit_use": Place(OWN),
    "break_glass": Place(OURS),
    "campaign": Place(OURS, "one without alerts of others goes"),
    "campaign_alert": Place(OWN),
    "campaign_note": Place(OWN, "of notes for us, oid and name"),
    "case_configuration": Place(OWN),
    "case_detection": Place(OWN),
    "case_edit": Place(OWN),
    "case_event": Place(OWN),
    "case_item": Place(OWN),
    "case_reading": Place(OWN),
    "case_record": Place(OWN),
    "configuration_body": Place("", "contents that no other organization has"),
    "configuration_record": Place(OWN),
    "detection": Place("", "with the alerts"),
    "detection_body": Place("", "with the alerts"),
    "detection_count": Place(OWN),
    "detection_text": Place("", "with the alerts"),
    "customer_document": Place(OWN),
    "direct_permission": Place(OWN),
    "drift_decision": Place(OWN),
    "fold": Place("", "with the alerts"),
    "fold_key": Place(OURS),
    "group_member": Place("", "of groups that nobody lists any more"),
    "group_organization": Place(OWN),
    "group_role": Place("", "of groups that nobody lists any more; of the others, its name in their role"),
    "handover": Place(OURS, "one about nothing else goes"),
    "handover_item": Place(OWN, "of others, oid and name"),
    "journal": Place("", "oid, target and detail of its entries; that something was done stays"),
    "lcql_organization": Place(OWN),
    "lcql_row": Place(OWN),
    "lcql_search": Place(OURS, "one that asked nobody else goes"),
    "node": Place("", "its node goes, what is below moves up; of folders, its name"),
    "organization": Place(OWN),
    "organization_change": Place(OWN),
    "organization_error": Place(OWN),
    "organization_group": Place("", "groups that nobody lists any more"),
    "preference": Place(OURS),
    "price_book": Place(NOTHING, "the provider's own files; those that name it are said"),
    "queue_look": Place(OURS),
    "quota_reading": Place(OWN),
    "review_content": Place("", "lists are written without it"),
    "review_decision": Place(OURS, "lists are written without it"),
    "review_line": Place(OURS, "one about nothing else goes"),
    "rollout_approval": Place("", "of plans that go"),
    "rollout_body": Place("", "contents that no other step keeps"),
    "rollout_lease": Place(OWN),
    "rollout_plan": Place(OURS, "one that is about nothing else goes"),
    "rollout_step": Place(OWN),
    "rollout_wave": Place(OURS),
    "run": Place(OURS, "one that is about nothing else goes"),
    "run_item": Place(OWN),
    "run_step": Place("", "of its items"),
    "saved_queue": Place(OURS, "one that is about its node goes"),
    "sensor": Place(OWN),
    "sighting": Place(OWN),
    "snooze": Place(OWN),
    "staged_change": Place(OWN),
    "storm": Place("", "counted again without it"),
    "sync_run": Place(OURS),
    "sync_state": Place(OWN),
    "template_assignment": Place("", "of its node"),
    "template_content": Place(NOTHING, "the provider's own files; those that name it are said"),
    "template_file": Place(NOTHING, "the provider's own files"),
    "template_owned": Place(OWN),
    "template_version": Place(NOTHING, "the provider's own files"),
    "triage_action": Place(OURS, "decisions about nothing else go"),
    "triage_change": Place(OWN),
    "usage": Place(OWN),
    "user_account": Place("", "people who have nothing anywhere else"),
    "vendor_invoice": Place(OWN),
    "wanted_content": Place("", "contents that are no other's"),
    "wanted_state": Place(OWN),
}
"""Every table, the text index among them."""

_METADATA: Final = SQLModel.metadata.tables
_DETECTION: Final = _METADATA["detection"]
_FOLD: Final = _METADATA["fold"]
_ORGANIZATION: Final = _METADATA["organization"]
_NODE: Final = _METADATA["node"]

Report = Callable[[str], object]


class CannotForget(StoreError):
    """It may not be forgotten, or not yet; the text says why and what to do."""

    def __init__(self, text: str, *, known: bool = True) -> None:
        """Args:
        known: whether it is clear which organization is meant.
        """
        super().__init__(text)
        self.known = known


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten."""

    oid: str
    name: Untrusted
    rows: Mapping[str, int]
    """How many rows of each table were deleted or written without it."""
    entries: int
    """Entries of the journal that something was taken out of."""
    seq: int
    """The journal's entry that says it was done."""
    left: tuple[str, ...]
    """What still names it outside of what is forgotten, a sentence each."""


CODES: Final = frozenset((
    "classification", "decided_digest", "digest", "end_reason", "failure", "hash", "kind", "kinds", "marks",
    "outcome", "permission", "permissions", "privileged", "severity", "state", "status", "step", "stream",
    "subject", "verb", "verdict",
))  # fmt: skip
"""Columns, and keys of JSON, whose texts are words of ours and of LimaCharlie, and digests: an organization
may be called as one of them is, and what is another's would be broken."""

_ROLE: Final = "role"
"""A column, and a key of JSON, whose text is a code only where it is one of LimaCharlie's roles: a provider's
own role (`store.accessfile`) may be called after an organization."""

_DIGESTS: Final = frozenset(("decided_permissions", "decided_places", "places", "readings"))
"""Columns that name a list by its digest; as keys of JSON they are the list."""

_OURS_KEY: Final = re.compile(r"[a-z][a-z0-9_]*")
"""As we write keys of JSON ourselves: these say what a value is, and never whose."""

_ORIGIN: Final = re.compile(r"[a-z-]+(?::|$)")
"""What a plan's and a run's `source` begins with: `file:`, `undo:`, `staged`."""


class Traces:
    """What an organization is found by in texts, and those texts without it.

    A name counts as whole words, in any letter case; where it is part of a neighbour's name it is the
    neighbour.
    """

    def __init__(
        self, oid: str, names: Iterable[str], others: Iterable[str], nodes: Iterable[str] = ()
    ) -> None:
        """Args:
        names: what it is called.
        others: what the other organizations are called.
        nodes: ids that mean it where a text is nothing else.
        """
        self.oid = oid
        self.names = tuple(
            dict.fromkeys(name for each in names if len(name := each.strip()) >= SHORTEST and name != oid)
        )
        self.nodes = frozenset(nodes) - {""}
        folded = [name.casefold() for name in self.names]
        kept = {other for other in others if any(name in other.casefold() for name in folded)}
        self._kept = {other.casefold() for other in kept} - set(folded)
        words = sorted({*kept, *self.names}, key=len, reverse=True)
        named = [rf"(?<!\w){re.escape(word)}(?!\w)" for word in words]
        self._found = re.compile("|".join([re.escape(oid), *named]), re.IGNORECASE)

    def text(self, value: str) -> str:
        """A text without it."""
        if value in self.nodes:
            return FORGOTTEN
        return self._found.sub(lambda at: at[0] if at[0].casefold() in self._kept else FORGOTTEN, value)

    def data(self, value: Any, *, nodes: bool = True) -> Any:
        """JSON data without it: entries that are about it go, in other texts it is taken out.

        Args:
            nodes: whether ids of nodes may be keys; where they are not, a key that is called so is a word.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                key if _OURS_KEY.fullmatch(key) else self.text(key): (
                    each if self._code(key, each) else self.data(each, nodes=nodes)
                )
                for key, each in value.items()
                if not (self.oid in key or (nodes and key in self.nodes))
            }
        if isinstance(value, list | tuple):
            return [self.data(each, nodes=nodes) for each in value if not self._about(each)]
        return value

    def _code(self, key: str, value: Any) -> bool:
        """Whether what stands under a key of JSON is a code, or several."""
        if key == _ROLE:
            return isinstance(value, str) and value in roles()
        listed = value if isinstance(value, list | tuple) else [value]
        return key in CODES and all(isinstance(each, str) and self.oid not in each for each in listed)

    def _about(self, value: Any) -> bool:
        if isinstance(value, Mapping):
            return value.get("oid") == self.oid
        if isinstance(value, list | tuple):
            return bool(value) and value[0] == self.oid
        return isinstance(value, str) and (self.oid in value or value in self.nodes or value in self.names)

    def within(self, columns: Iterable[Any]) -> ColumnElement[bool]:
        """The condition that one of these columns, texts or JSON, may name it."""
        needles = {self.oid, *self.nodes}
        for name in self.names:
            needles.update((name, name.upper(), name.lower(), json.dumps(name)[1:-1]))
        return or_(
            *(
                cast(column, Text).icontains(needle, autoescape=True)
                for column in columns
                for needle in sorted(needles)
            )
        )


def traces(c: Connection, oid: str) -> Traces:
    """What an organization is found by, as the store knows it."""
    names: list[str] = []
    for table in ("organization", "node", "lcql_organization", "run_item"):
        named = _METADATA.get(table)
        if named is not None:
            names += c.execute(select(named.c.name).where(named.c.oid == oid).distinct()).scalars()
    others = c.execute(
        union_all(
            select(_ORGANIZATION.c.name).where(_ORGANIZATION.c.oid != oid),
            select(_NODE.c.name).where(_NODE.c.oid.is_not(None), _NODE.c.oid != oid),
        )
    ).scalars()
    nodes = c.execute(select(_NODE.c.id).where(_NODE.c.oid == oid)).scalars()
    return Traces(oid, names, others, nodes)


# Whether it may be


def why_not(c: Connection, oid: str, *, copy: bool = False) -> str:
    """Why an organization may not be forgotten now, in a sentence; "" when it may.

    Args:
        copy: of a copy that nobody works with, it does not matter whether LimaCharlie still lists it, nor
            what was being made when it was copied.

    Raises:
        CannotForget: nothing of it is here.
    """
    row = c.execute(select(_ORGANIZATION).where(_ORGANIZATION.c.oid == oid)).one_or_none()
    if row is None and not held(c, oid):
        raise CannotForget(f"The store has nothing of the organization {oid}.", known=False)
    name = safe_text(row.name, 60) if row is not None else oid
    if marked(c, HOLD, [oid]):
        return f"{name} carries the mark {HOLD}: what is stored of it is kept until somebody takes that away."
    if copy:
        return ""
    if row is not None and row.gone_at is None:
        return (
            f"LimaCharlie still lists {name}, so the next sync would read all of it again: offboard it "
            "first, or take it out of what this credential sees, and sync."
        )
    for table, steps, running, what, how in _RUNNING:
        if table not in _METADATA:
            continue
        owner, part = _METADATA[table], _METADATA[steps]
        key = part.c["run_id" if table == "run" else "plan_id"]
        found = c.execute(
            select(owner.c.id)
            .join(part, key == owner.c.id)
            .where(owner.c.state == running, part.c.oid == oid)
        ).first()
        if found is not None:
            return f"{what} {found[0]} is being made, and {name} is in it; {how}"
    return ""


_RUNNING: Final = (
    ("access_plan", "access_step", 1, "Access plan", "wait for its end, or see Activity."),
    ("rollout_plan", "rollout_step", 1, "Rollout", "pause it first."),
    ("run", "run_item", 1, "Run", "wait for its end, or resume it."),
)


def held(c: Connection, oid: str) -> dict[str, int]:
    """How many rows of an organization's own each table has; those that have none are left out."""
    found = {}
    for name, table in sorted(_METADATA.items()):
        if "oid" in table.c:
            query = select(func.count()).select_from(table).where(table.c.oid == oid)
            if number := int(c.execute(query).scalar_one()):
                found[name] = number
    return found


# Doing it


def forget(
    store: Store, oid: str, *, actor: str, now: int, report: Report = lambda _: None, copy: bool = False
) -> Forgotten:
    """Delete everything of an organization; killed anywhere, the next call goes on.

    `maintenance.rewrite` has to follow: until then the bytes may still be in the files.

    Args:
        actor: who ran the console.
        now: milliseconds, UTC.
        report: how far it has come, in words.
        copy: as of `why_not`.

    Raises:
        CannotForget: it may not be forgotten, or nothing of it is here.
        StoreError: the store cannot be written.
    """
    with store.reader.reading() as c:
        if reason := why_not(c, oid, copy=copy):
            raise CannotForget(reason)
        name = c.execute(select(_ORGANIZATION.c.name).where(_ORGANIZATION.c.oid == oid)).scalar_one_or_none()
    _catch_up(store)
    rows: dict[str, int] = {}
    with store.writing() as c:
        found = traces(c, oid)
        preferences.put(c, REWRITE, True)
        left = _Forgetting(c, found, rows, now).all()
        # By what was just deleted the journal is searched: whoever goes on would not find it any more.
        _, entries = _journal(c, found, actor, {"step": "begun"}, now=now)
    while True:
        with store.writing() as c:
            ids = c.execute(
                select(_DETECTION.c.id).where(_DETECTION.c.oid == oid).limit(alertremoval.TOGETHER)
            ).scalars().all()  # fmt: skip
            for table, number in alertremoval.remove(c, oid, ids).items():
                rows[table] = rows.get(table, 0) + number
        if not ids:
            break
        report(f"{rows.get('detection', 0):,} alerts")
    with store.writing() as c:
        # Deleting is a change too, which the database takes note of: that note goes last.
        _own(c, oid, rows, ("detection_count", "sighting", "organization", "organization_change"))
        # What was written down in the meantime.
        seqs, more = _journal(c, found, actor, {"rows": dict(sorted(rows.items()))}, now=now)
    return Forgotten(oid, Untrusted(name or ""), rows, entries + more, seqs[0], left)


def _journal(
    c: Connection, found: Traces, actor: str, detail: Mapping[str, Any], *, now: int
) -> tuple[list[int], int]:
    """Take it out of the journal; what `journal.forget` answers."""
    table = _METADATA["journal"]
    condition = or_(table.c.oid == found.oid, found.within(table.c[n] for n in ("target", "detail", "oid")))
    said = {"organization": content_hash(found.oid), **detail}
    return journal.forget(c, actor, _rewriting(found), condition, said, now=now)


def _catch_up(store: Store) -> None:
    """Finish what an upgrade or a changed fold key left: the index must hold what is taken out of it."""
    left = True
    while left:
        with store.writing() as c:
            left = textindex.rebuild_some(c) is not None or bool(folds.rebuild(c).rules)


def _rewriting(found: Traces) -> Callable[[Mapping[str, Any]], Mapping[str, Any] | None]:
    def rewrite(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if entry["oid"] == found.oid:
            return {"oid": "", "target": FORGOTTEN, "detail": {}}
        # Only an import of a tree says what changed by the nodes' ids.
        detail = found.data(entry["detail"], nodes=entry["action"] == "tree.import")
        left = {**entry, "target": found.text(entry["target"]), "detail": detail}
        return left if left != dict(entry) else None

    return rewrite


def _own(c: Connection, oid: str, rows: dict[str, int], names: Iterable[str]) -> None:
    for name in names:
        table = _METADATA.get(name)
        if table is None:
            continue
        gone = c.execute(delete(table).where(table.c.oid == oid)).rowcount
        if gone:
            rows[name] = rows.get(name, 0) + gone


class _Forgetting:
    """The first transaction of `forget`: all but alerts, counters, journal and the organization's row."""

    def __init__(self, c: Connection, found: Traces, rows: dict[str, int], now: int) -> None:
        self.c, self.found, self.oid, self.rows, self.now = c, found, found.oid, rows, now

    def all(self) -> tuple[str, ...]:
        """Do it; answers what still names it elsewhere."""
        self._decisions()
        self._folds()
        bodies = self._select("configuration_record", "hash")
        wanted = self._select("wanted_state", "wanted")
        kept = set(self._select("rollout_step", "previous")) - {""}
        people, gids = self._people(), self._gids()
        for name, owner in _PARTS.items():
            self._parts(name, owner)
        self._deadlines()
        event = _METADATA["access_event"]
        about = cast(event.c.details, Text).icontains(self.oid, autoescape=True)
        self._delete("access_event", event.c.source == "group", about)
        self._reviews()
        self._tree()
        self._queues()
        late = {"detection_count", "sighting", "organization", "organization_change"}
        own = [name for name, place in PLACES.items() if place.how == OWN and name in _METADATA]
        _own(self.c, self.oid, self.rows, [name for name in own if name not in late])
        left = self._groups()
        self._former(gids)
        self._nobody(people)
        self._unused("configuration_body", bodies, [("configuration_record", "hash")])
        self._unused("wanted_content", wanted, [("wanted_state", "wanted")])
        self._unused("rollout_body", kept, [("rollout_step", "previous")])
        for name, place in PLACES.items():
            if name in _METADATA and (place.how == OURS or name in _SAID):
                self._scrub(_METADATA[name], _SAID.get(name))
        return (*left, *self._templates())

    def _count(self, name: str, number: int) -> None:
        if number:
            self.rows[name] = self.rows.get(name, 0) + number

    def _select(self, name: str, column: str) -> list[str]:
        table = _METADATA[name]
        return list(
            self.c.execute(select(table.c[column]).where(table.c.oid == self.oid).distinct()).scalars()
        )

    def _delete(self, name: str, *conditions: Any) -> None:
        self._count(name, self.c.execute(delete(_METADATA[name]).where(*conditions)).rowcount)

    def _decisions(self) -> None:
        """Decisions about its alerts alone, and the hosts of its folds that others remember."""
        action, change = _METADATA["triage_action"], _METADATA["triage_change"]
        mine = select(change.c.action_id).where(change.c.oid == self.oid)
        others = select(change.c.action_id).where(change.c.oid != self.oid)
        alone = select(mine.distinct().subquery().c.action_id).except_(others)
        self._delete("triage_action", action.c.id.in_(alone))
        folded = select(_FOLD.c.id).where(_FOLD.c.oid == self.oid)
        folds_ = {str(each) for each in self.c.execute(folded).scalars()}
        told = select(action.c.id, action.c.detail).where(
            action.c.id.in_(mine), cast(action.c.detail, Text).contains('"hosts"')
        )
        for row in self.c.execute(told).all():
            hosts = {fold: each for fold, each in row.detail.get("hosts", {}).items() if fold not in folds_}
            detail = {**row.detail, "hosts": hosts}
            self._count(
                "triage_action",
                self.c.execute(update(action).where(action.c.id == row.id).values(detail=detail)).rowcount,
            )
        self._delete("snooze", _METADATA["snooze"].c.oid == self.oid)
        self._delete("triage_change", change.c.oid == self.oid)

    def _folds(self) -> None:
        self._count("fold", folds.forget(self.c, self.oid))

    def _people(self) -> set[str]:
        """Who is known by this organization, among others perhaps."""
        member, holds = _METADATA["group_member"], _METADATA["group_organization"]
        found = select(member.c.email).join(holds, holds.c.gid == member.c.gid).where(holds.c.oid == self.oid)
        former = _METADATA["access_former"]
        was = select(former.c.principal).where(
            former.c.kind.in_(_PEOPLE), or_(former.c.oid == self.oid, former.c.gid.in_(self._gids()))
        )
        return {
            *self._select("direct_permission", "email"),
            *self.c.execute(found).scalars(),
            *self.c.execute(was).scalars(),
        }

    def _gids(self) -> list[str]:
        """The groups that hold it, or held it once."""
        return sorted(
            {*self._select("group_organization", "gid"), *self._select("access_former", "gid")} - {""}
        )

    def _nobody(self, people: set[str]) -> None:
        """Those of them who have nothing anywhere any more."""
        user = _METADATA["user_account"]
        for part in _chunks(sorted(people)):
            still: set[str] = set()
            for name in ("direct_permission", "group_member"):
                email = _METADATA[name].c.email
                still.update(self.c.execute(select(email).where(email.in_(part)).distinct()).scalars())
            former = _METADATA["access_former"].c
            was = select(former.principal).where(former.kind.in_(_PEOPLE), former.principal.in_(part))
            still.update(self.c.execute(was.distinct()).scalars())
            self._delete("user_account", user.c.email.in_([each for each in part if each not in still]))

    def _parts(self, name: str, owner: "_Owner") -> None:
        """What is about several organizations, each a row of `name`: without this one, or gone with it."""
        part, whole = _METADATA.get(name), _METADATA.get(owner.table)
        if part is None or whole is None:
            return
        key = part.c[owner.key]
        mine = set(self.c.execute(select(key).where(part.c.oid == self.oid).distinct()).scalars())
        if name == "run_item":
            step = _METADATA["run_step"]
            items = select(part.c.run_id, part.c.item).where(part.c.oid == self.oid)
            for row in self.c.execute(items).all():
                self._delete("run_step", and_(step.c.run_id == row.run_id, step.c.item == row.item))
        self._delete(name, part.c.oid == self.oid)
        for some in _chunks(sorted(mine)):
            still = set(self.c.execute(select(key).where(key.in_(some)).distinct()).scalars())
            gone = [each for each in some if each not in still]
            self._delete(owner.table, whole.c.id.in_(gone))
            for other, column in owner.also:
                self._delete(other, _METADATA[other].c[column].in_(gone))
            if owner.draft is not None and still:
                # What is left of it is not what was shown.
                self.c.execute(
                    update(whole)
                    .where(whole.c.id.in_(sorted(still)), whole.c.state == 0)
                    .values(state=owner.draft)
                )

    def _deadlines(self) -> None:
        table = _METADATA["access_deadline"]
        about = select(table.c.id, table.c.changes).where(self.found.within([table.c.changes]))
        for row in self.c.execute(about).all():
            left = [change for change in row.changes if change.get("oid") != self.oid]
            if left == row.changes:
                continue
            if left:
                self._count("access_deadline", 1)
                self.c.execute(update(table).where(table.c.id == row.id).values(changes=left))
            else:
                self._delete("access_deadline", table.c.id == row.id)

    def _reviews(self) -> None:
        """Lines, decisions and lists without it; a digest says what is left."""
        content, line = _METADATA["review_content"], _METADATA["review_line"]
        decision, review = _METADATA["review_decision"], _METADATA["access_review"]
        moved: dict[str, tuple[str, int]] = {}
        for row in self.c.execute(select(content)).all():
            listed = json.loads(unpack(row.body))
            left = self.found.data(listed)
            if left == listed:
                continue
            digest = content_hash(left)
            moved[row.digest] = (digest, len(left))
            if not self.c.execute(select(content.c.digest).where(content.c.digest == digest)).first():
                self.c.execute(insert(content).values(digest=digest, body=pack(canonical(left))))
        if not moved:
            return
        for row in self.c.execute(select(line)).all():
            places = moved.get(row.places)
            if places is not None and not places[1]:
                self._delete("review_line", line.c.id == row.id)
                self._delete("review_decision", decision.c.line_id == row.id)
                continue
            values = self._moved(row, moved, _LISTS)
            if self.oid in row.key:
                first = json.loads(
                    unpack(
                        self.c.execute(
                            select(content.c.body).where(content.c.digest == values.get("places", row.places))
                        ).scalar_one()
                    )
                )[0]
                oid, _, key_hash = str(first).partition(" ")
                rest = row.principal if row.kind == "direct" else key_hash
                values["key"] = f"{row.kind} {oid} {rest}"
            if places is not None:
                values["place_count"] = places[1]
            if not values:
                continue
            said = (row.kind, row.principal, row.gid)
            kept = {name: values.get(name, getattr(row, name)) for name in _LISTS}
            values["digest"] = line_digest(*said, kept["permissions"], kept["places"])
            if row.decided_digest:
                decided = kept["decided_permissions"], kept["decided_places"]
                values["decided_digest"] = line_digest(*said, *decided)
            self.c.execute(update(line).where(line.c.id == row.id).values(**values))
            self._count("review_line", 1)
        lines = {row.id: (row.kind, row.principal, row.gid) for row in self.c.execute(select(line))}
        for row in self.c.execute(select(decision)).all():
            values = self._moved(row, moved, ("permissions", "places"))
            if values:
                kept = {name: values.get(name, getattr(row, name)) for name in ("permissions", "places")}
                if row.line_id in lines:
                    values["digest"] = line_digest(*lines[row.line_id], kept["permissions"], kept["places"])
                self.c.execute(update(decision).where(decision.c.id == row.id).values(**values))
                self._count("review_decision", 1)
        for row in self.c.execute(select(review.c.id, review.c.readings)).all():
            values = self._moved(row, moved, ("readings",))
            if values:
                self.c.execute(update(review).where(review.c.id == row.id).values(**values))
        self._delete("review_content", content.c.digest.in_(list(moved)))
        empty = select(review.c.id).where(review.c.id.not_in(select(line.c.review_id)))
        self._delete("access_review", review.c.id.in_(empty))

    @staticmethod
    def _moved(row: Any, moved: Mapping[str, tuple[str, int]], names: Sequence[str]) -> dict[str, Any]:
        return {name: moved[getattr(row, name)][0] for name in names if getattr(row, name) in moved}

    def _tree(self) -> None:
        """Its node, with its layers; what is below moves up. Empty folders that carry its name go."""
        before = tree.stored_tree(self.c)
        nodes = []
        above = {node.id: node.parent for node in before if node.oid == self.oid and node.parent is not None}
        for node in before:
            if node.id in above:
                continue
            if node.oid == self.oid:  # the root stays, as a folder
                node = tree.TreeNode(node.id, None, FORGOTTEN)
            elif node.parent in above:
                node = replace(node, parent=above[node.parent])
            nodes.append(node)
        while True:
            parents = {node.parent for node in nodes}
            left = [
                node
                for node in nodes
                if node.oid is not None
                or node.parent is None
                or node.id in parents
                or self.found.text(node.name) == node.name
            ]
            if len(left) == len(nodes):
                break
            nodes = left
        nodes = [node if node.oid is not None else self._folder(node, nodes) for node in nodes]
        if nodes != before:
            assignment = _METADATA["template_assignment"]
            gone = {node.id for node in before} - {node.id for node in nodes}
            self._delete("template_assignment", assignment.c.node_id.in_(gone))
            self._count("node", tree.replace_tree(self.c, nodes))

    def _folder(self, node: tree.TreeNode, nodes: Sequence[tree.TreeNode]) -> tree.TreeNode:
        name, number = self.found.text(node.name), 1
        beside = {each.name for each in nodes if each.parent == node.parent and each.id != node.id}
        while name != node.name and name in beside:
            number += 1
            name = f"{self.found.text(node.name)} {number}"
        return replace(
            node,
            name=name,
            labels={key: self.found.text(value) for key, value in node.labels.items()},
            parameters=self.found.data(node.parameters),
        )

    def _queues(self) -> None:
        queue, look = _METADATA["saved_queue"], _METADATA["queue_look"]
        if self.found.nodes:
            names = list(
                self.c.execute(select(queue.c.name).where(queue.c.scope.in_(self.found.nodes))).scalars()
            )
            self._delete("saved_queue", queue.c.name.in_(names))
            self._delete("queue_look", look.c.name.in_(names))

    def _groups(self) -> list[str]:
        """Groups that were known by this organization alone; answers those that carry its name."""
        group, holds = _METADATA["organization_group"], _METADATA["group_organization"]
        held = select(holds.c.gid)
        for gid in self.c.execute(
            select(group.c.gid).where(group.c.complete.is_(False), group.c.gid.not_in(held))
        ).scalars().all():  # fmt: skip
            self._drop_group(gid)
        left = []
        for row in self.c.execute(select(group).where(self.found.within([group.c.name]))).all():
            if self.found.text(row.name) == row.name:
                continue
            if self.c.execute(select(holds.c.oid).where(holds.c.gid == row.gid).limit(1)).first() is None:
                self._drop_group(row.gid)
                left.append(
                    f"The group {safe_text(row.name, 60)} holds no organization any more, and carries its "
                    "name: delete it in LimaCharlie, or the next sync reads it again."
                )
            else:
                left.append(
                    f"The group {safe_text(row.name, 60)} carries its name and holds other organizations; "
                    "rename it in LimaCharlie."
                )
        return left

    def _former(self, gids: Sequence[str]) -> None:
        """What groups were that hold and held nobody else; in what others were called, its name."""
        former, group = _METADATA["access_former"], _METADATA["organization_group"]
        holds = _METADATA["group_organization"]
        for part in _chunks(gids):
            still: set[str] = set()
            for column in (group.c.gid, holds.c.gid):
                still.update(self.c.execute(select(column).where(column.in_(part))).scalars())
            others = select(former.c.gid).where(former.c.gid.in_(part), former.c.kind == "held")
            still.update(self.c.execute(others).scalars())
            self._delete("access_former", former.c.gid.in_([gid for gid in part if gid not in still]))
        named = select(former.c.id, former.c.name).where(
            former.c.kind == "group", self.found.within([former.c.name])
        )
        for row in self.c.execute(named).all():
            name = self.found.text(row.name)
            if name != row.name:
                self._count("access_former", 1)
                self.c.execute(update(former).where(former.c.id == row.id).values(name=name))

    def _drop_group(self, gid: str) -> None:
        former = _METADATA["access_former"]
        held = select(former.c.id).where(former.c.gid == gid, former.c.kind == "held").limit(1)
        if self.c.execute(held).first() is not None:
            # It held others once, whose history is theirs.
            for name in ("group_member", "organization_group"):
                table = _METADATA[name]
                accesshistory.end(
                    self.c, table, self.c.execute(select(table).where(table.c.gid == gid)).all(), self.now
                )
        for name in ("group_member", "group_role", "access_event", "staged_change", "organization_group"):
            self._delete(name, _METADATA[name].c.gid == gid)
        glass, deadline = _METADATA["break_glass"], _METADATA["access_deadline"]
        mine = list(self.c.execute(select(glass.c.deadline_id).where(glass.c.gid == gid)).scalars())
        self._delete("break_glass", glass.c.gid == gid)
        self._delete("access_deadline", deadline.c.id.in_(mine))

    def _unused(self, name: str, hashes: Iterable[str], used: Sequence[tuple[str, str]]) -> None:
        """Contents that nothing names any more."""
        key = _METADATA[name].c.hash
        for part in _chunks(sorted(set(hashes))):
            still: set[str] = set()
            for other, column in used:
                named = _METADATA[other].c[column]
                still.update(self.c.execute(select(named).where(named.in_(part)).distinct()).scalars())
            self._delete(name, key.in_([each for each in part if each not in still]))

    def _scrub(self, table: Table, names: Sequence[str] | None) -> None:
        """Take oid and name out of the texts of a table; a row that is called so goes.

        Args:
            names: of these columns alone; of all when None.
        """
        columns = [column for column in table.c if isinstance(column.type, JSON | String | AutoString)]
        columns = [column for column in columns if names is None or column.name in names]
        columns = [column for column in columns if not _says_what(table.name, column.name)]
        keys = list(table.primary_key.columns)
        rows = select(*dict.fromkeys([*keys, *columns])).where(self.found.within(columns))
        for row in self.c.execute(rows).all():
            here = row._mapping
            values: dict[str, Any] = {}
            for column in columns:
                value = here[column.name]
                left = self._without(column, value)
                if value is not None and left != value:
                    values[column.name] = left
            if not values:
                continue
            this = and_(*(column == here[column.name] for column in keys))
            plain = table.name == "preference" and isinstance(here["value"], str)
            if plain or any(column.name in values for column in keys):
                self._delete(table.name, this)
            else:
                self._count(table.name, self.c.execute(update(table).where(this).values(**values)).rowcount)

    def _without(self, column: Column[Any], value: Any) -> Any:
        if isinstance(column.type, JSON):
            return self.found.data(value, nodes=False)
        text = value or ""
        if column.name == _ROLE and text in roles():
            return value
        begins = _ORIGIN.match(text) if column.name == "source" else None
        at = 0 if begins is None else begins.end()
        return text[:at] + self.found.text(text[at:])

    def _templates(self) -> list[str]:
        """Templates that name it; they are the provider's own, and stay."""
        content, file = _METADATA["template_content"], _METADATA["template_file"]
        naming: set[str] = set()
        for row in self.c.execute(select(content)).all():
            text_ = unpack(row.content).decode("utf-8", "replace")
            if self.found.text(text_) != text_:
                naming.update(
                    self.c.execute(select(file.c.name).where(file.c.hash == row.hash).distinct()).scalars()
                )
        said = [
            f"The template {safe_text(name, 60)} names it; templates are the provider's own, and stay."
            for name in sorted(naming)
        ]
        book = _METADATA.get("price_book")
        for row in () if book is None else self.c.execute(select(book)).all():
            text_ = row.body.decode("utf-8", "replace")
            if self.found.text(text_) != text_:
                said.append(
                    f"The price book {row.id} names it; price books are the provider's own, and stay."
                )
        return said


@dataclass(frozen=True, slots=True)
class _Owner:
    """What rows of a table are parts of."""

    table: str
    key: str
    """The column that names the whole."""
    also: tuple[tuple[str, str], ...] = ()
    """(table, column) of what goes with the whole."""
    draft: int | None = None
    """The state that a draft gets that lost a part; None when it has no drafts."""


_PEOPLE: Final = ("direct", "member", "owner")
"""Kinds of what was so before that say who a person is; the others are a key's and a group's."""

_LISTS: Final = ("permissions", "places", "decided_permissions", "decided_places")
"""Columns of a review's line that name a list by its digest."""

_PARTS: Final[dict[str, _Owner]] = {
    "access_step": _Owner("access_plan", "plan_id", draft=5),
    "campaign_alert": _Owner("campaign", "campaign_id", (("campaign_note", "campaign_id"),)),
    "handover_item": _Owner("handover", "handover_id"),
    "lcql_organization": _Owner("lcql_search", "search_id", (("lcql_row", "search_id"),)),
    "rollout_step": _Owner(
        "rollout_plan", "plan_id", (("rollout_wave", "plan_id"), ("rollout_approval", "plan_id")), draft=7
    ),
    "run_item": _Owner("run", "run_id", (("run_step", "run_id"),), draft=5),
}

_SAID: Final[dict[str, tuple[str, ...]]] = {
    "access_step": ("before",),
    "campaign_note": ("text",),
    "group_role": ("role",),
    "handover_item": ("hypothesis", "next_step", "blocker", "reason"),
}
"""What was written here beside what is another organization's own, or a group's: those columns may name
it."""


def _says_what(table: str, column: str) -> bool:
    """Whether a column says what a row is, and never whose."""
    return column in CODES | _DIGESTS or (table, column) in (("preference", "key"), ("fold_key", "fields"))


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), 500):
        yield values[at : at + 500]
