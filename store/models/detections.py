"""Detections and their triage state: the alert queue."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, SmallInteger, TextClause, text
from sqlmodel import Field

from store.models.base import Model
from store.models.columns import CompactId

_OPEN = text("status < 2")
_DONE = text("status >= 2")
_HELD = text("status < 2 AND assignee <> ''")
_FOLD_OPEN = text("open > 0")
_ASLEEP = text("woken_at IS NULL")
_UNFINISHED = text("finished_at IS NULL")
_ID = BigInteger().with_variant(Integer, "sqlite")


def _paged(name: str, *columns: str, where: TextClause) -> tuple[Index, Index]:
    """A partial index that ends with the id, which SQLite's do anyway, and would hold twice."""
    return (
        Index(name, *columns, sqlite_where=where).ddl_if(dialect="sqlite"),
        Index(name, *columns, "id", postgresql_where=where).ddl_if(dialect="postgresql"),
    )


class Detection(Model, table=True):
    """What the queue filters and sorts by. The event itself is in `DetectionBody`.

    Pages run over (rank, time, id), all descending, so that a row-value comparison serves on
    both engines. The queue by time to breach runs over (due_at, id), ascending. What alerts of a category,
    a rule or a host there are is in the text index (`store.textindex`), beside the words of the event.
    """

    __tablename__ = "detection"
    __table_args__ = (
        Index("uq_detection", "oid", "detect_id", unique=True),
        *_paged("ix_detection_queue", "rank", "time", where=_OPEN),
        *_paged("ix_detection_queue_oid", "oid", "rank", "time", where=_OPEN),
        *_paged("ix_detection_done", "rank", "time", where=_DONE),
        *_paged("ix_detection_done_oid", "oid", "rank", "time", where=_DONE),
        Index("ix_detection_time", "time"),
        *_paged("ix_detection_due", "due_at", where=_OPEN),
        Index("ix_detection_due_oid", "oid", "due_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_detection_held", "oid", "assignee", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_detection_mine", "assignee", sqlite_where=_HELD, postgresql_where=_HELD),
        *_paged("ix_detection_fold", "fold_id", "rank", "time", where=_OPEN),
        *_paged("ix_detection_fold_done", "fold_id", "rank", "time", where=_DONE),
    )  # fmt: skip

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    oid: str
    detect_id: str = Field(sa_type=CompactId)
    severity: int = Field(sa_type=SmallInteger)
    """4 critical, 3 high, 2 medium, 1 low, 0 info: `store.alerts.SEVERITIES`."""
    time: int = Field(sa_type=BigInteger)
    """`gen_time`, else `ts`: milliseconds, UTC."""
    cat: str = Field(default="")
    rule: str = Field(default="")
    """`source_rule`."""
    hostname: str = Field(default="")
    sid: str = Field(default="", sa_type=CompactId)
    event_type: str = Field(default="")
    priority: int | None = None
    status: int = Field(default=0, sa_type=SmallInteger)
    """0 new, 1 in_progress, 2 resolved, 3 closed: `store.alerts.STATUSES`. Open is below 2."""
    classification: int = Field(default=0, sa_type=SmallInteger)
    """0 pending, 1 true_positive, 2 false_positive."""
    assignee: str = Field(default="")
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)
    resolved_at: int | None = Field(default=None, sa_type=BigInteger)
    snoozed_until: int | None = Field(default=None, sa_type=BigInteger)
    """Until when the queue hides it; `store.alerts.FOREVER` when no time but something else wakes it."""
    damaged: bool = False
    """The record could not be read as JSON text; its bytes are kept as they came."""
    version: int = Field(default=0)
    """Goes up with every change of state: what compare-and-set compares."""
    rank: int = Field(sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})
    """Its severity, or `store.alerts.WOKEN` (above all of them) once it came back from a snooze."""
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    """When the clock that runs for it breaches its target (acknowledge while new, else resolve); None when
    none runs."""
    fold_id: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    """Of `Fold`; 0 when it belongs to none."""
    tags: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Words with a space between, such as `benign`."""


class DetectionBody(Model, table=True):
    """The detection as received, byte for byte, compressed."""

    __tablename__ = "detection_body"

    detection_id: int = Field(sa_type=_ID, primary_key=True, sa_column_kwargs={"autoincrement": False})
    body: bytes = Field(sa_type=LargeBinary)


class DetectionCount(Model, table=True):
    """How many detections an organization has in each state, kept exactly in the same transaction."""

    __tablename__ = "detection_count"

    oid: str = Field(primary_key=True)
    severity: int = Field(primary_key=True, sa_type=SmallInteger)
    status: int = Field(primary_key=True, sa_type=SmallInteger)
    count: int = Field(default=0, sa_type=BigInteger)


class AlertLabel(Model, table=True):
    """A category, rule or host name that an alert has or had: what a part of one is looked up in."""

    __tablename__ = "alert_label"
    __table_args__ = {"sqlite_with_rowid": False}

    kind: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    """Index into `store.textindex.LABELS`."""
    value: str = Field(primary_key=True)


class Sighting(Model, table=True):
    """Where a value is seen that very many alerts speak of, counted as they come.

    The rarer ones are counted when somebody asks. A value is either here with all its organizations, exactly,
    or not at all; `store.textindex` alone writes it.
    """

    __tablename__ = "sighting"
    __table_args__ = {"sqlite_with_rowid": False}

    token: str = Field(primary_key=True)
    """Of the text index."""
    oid: str = Field(primary_key=True)
    first: int = Field(sa_type=BigInteger)
    """Time of the first alert (ms)."""
    last: int = Field(sa_type=BigInteger)
    count: int = Field(sa_type=BigInteger)


class Fold(Model, table=True):
    """Alerts of one organization that are shown as one row, with what they add up to, kept exactly.

    `store.folds` alone writes it, in the transaction that writes its members.
    """

    __tablename__ = "fold"
    __table_args__ = (
        Index("uq_fold", "storm", "oid", unique=True),
        Index("ix_fold_open", "oid", "storm", sqlite_where=_FOLD_OPEN, postgresql_where=_FOLD_OPEN),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    oid: str
    storm: int = Field(sa_type=BigInteger)
    """Of `Storm`, which has the salient values: the same over all organizations."""
    cat: str = ""
    """Of its first member."""
    rule: str = ""
    total: int = 0
    open: int = 0
    """Members that the queue shows: open, and not snoozed."""
    first_seen: int = Field(default=0, sa_type=BigInteger)
    last_seen: int = Field(default=0, sa_type=BigInteger)
    rank: int = Field(default=-1, sa_type=SmallInteger)
    """The worst rank among its open members; -1 when none is open."""
    last_open: int = Field(default=0, sa_type=BigInteger)
    """The time of its newest open member (ms); 0 when none is open."""
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    """The earliest among its open members."""
    assignees: dict[str, int] = Field(default_factory=dict, sa_type=JSON)
    """Who has how many of its open members."""
    hours: dict[str, int] = Field(default_factory=dict, sa_type=JSON)
    """Members in each of the last `store.folds.HOURS` hours up to that of the newest; hours since 1970."""
    true_positives: int = 0
    false_positives: int = 0
    last_true_at: int | None = Field(default=None, sa_type=BigInteger)
    """When the last true positive was decided (ms)."""
    last_verdict: int = Field(default=0, sa_type=SmallInteger)
    """The classification that a member got last, of those that have one; 0 when none has."""
    last_verdict_at: int | None = Field(default=None, sa_type=BigInteger)
    last_verdict_by: str = ""
    last_verdict_alert: int | None = Field(default=None, sa_type=BigInteger)
    """The member that got it."""
    spent: int = Field(default=0, sa_type=BigInteger)
    """Milliseconds from acknowledged to resolved, summed over its members."""


class Storm(Model, table=True):
    """The folds of all organizations that share rule and salient values: shown together, decided apart."""

    __tablename__ = "storm"
    __table_args__ = (
        Index(
            "ix_storm_queue", "rank", "last_open", "key", sqlite_where=_FOLD_OPEN, postgresql_where=_FOLD_OPEN
        ),
    )

    key: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    """53 bits over the rule and the salient values: exact as a JSON number too."""
    cat: str = ""
    rule: str = ""
    salient: list[list[str]] = Field(default_factory=list, sa_type=JSON)
    """[[field, value], ...]: what besides the rule its members share; strangers' texts."""
    total: int = 0
    open: int = 0
    organizations: int = 0
    """How many have an open member."""
    fold_id: int = Field(default=0, sa_type=BigInteger)
    """The fold with the open members, when it is one alone; else 0."""
    first_seen: int = Field(default=0, sa_type=BigInteger)
    last_seen: int = Field(default=0, sa_type=BigInteger)
    rank: int = Field(default=-1, sa_type=SmallInteger)
    last_open: int = Field(default=0, sa_type=BigInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    assignees: dict[str, int] = Field(default_factory=dict, sa_type=JSON)
    hours: dict[str, int] = Field(default_factory=dict, sa_type=JSON)
    last_verdict: int = Field(default=0, sa_type=SmallInteger)
    """The last verdict anywhere, as `Fold` has it."""
    last_verdict_at: int | None = Field(default=None, sa_type=BigInteger)
    last_verdict_by: str = ""
    last_verdict_alert: int | None = Field(default=None, sa_type=BigInteger)


class FoldKey(Model, table=True):
    """Which fields, besides organization and rule, make alerts of a rule one fold."""

    __tablename__ = "fold_key"

    rule: str = Field(primary_key=True)
    """`source_rule`, else `cat`; `*` for every rule without one of its own."""
    fields: list[str] = Field(default_factory=list, sa_type=JSON)
    """Of `store.folds.FIELDS`; none means the rule alone."""
    by: str = ""
    at: int = Field(default=0, sa_type=BigInteger)


class Snooze(Model, table=True):
    """Why an alert is hidden, and what brings it back; kept after it came back until somebody acts on it."""

    __tablename__ = "snooze"
    __table_args__ = (Index("ix_snooze_asleep", "oid", sqlite_where=_ASLEEP, postgresql_where=_ASLEEP),)

    detection_id: int = Field(sa_type=_ID, primary_key=True, sa_column_kwargs={"autoincrement": False})
    oid: str
    fold_id: int = Field(default=0, sa_type=BigInteger, index=True)
    until: int | None = Field(default=None, sa_type=BigInteger, index=True)
    more: int | None = None
    """It comes back when its fold has had so many members in all."""
    event: str = ""
    """It comes back with: `online` (its sensor came online), `host` (its fold reached another host)."""
    reason: str = ""
    action_id: int = Field(default=0, sa_type=BigInteger)
    """The decision that snoozed it; its detail has what an `event` is compared with."""
    by: str = ""
    at: int = Field(default=0, sa_type=BigInteger)
    woken_at: int | None = Field(default=None, sa_type=BigInteger)
    woken_by: str = ""
    """What brought it back, in words."""


class TriageAction(Model, table=True):
    """One decision of an operator over one alert or many: what undo, hand-over and scorecards go by."""

    __tablename__ = "triage_action"
    __table_args__ = (
        Index(
            "ix_triage_action_unfinished", "id",
            sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED,
        ),
    )  # fmt: skip

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    time: int = Field(sa_type=BigInteger, index=True)
    actor: str
    """The operator's name, as alerts are assigned to it."""
    verb: str
    """claim, release, assign, ack, close, reopen, snooze, wake, tag, note, undo."""
    comment: str = ""
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What was asked for: classification, tags, assignee, until, the selection in words."""
    planned: int = 0
    """Alerts that were asked for."""
    changed: int = 0
    refused: int = 0
    """Alerts that somebody else had changed, or that could not take this step."""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    undone_at: int | None = Field(default=None, sa_type=BigInteger)
    """When all of it had been undone."""


class TriageChange(Model, table=True):
    """What one action did to one alert, with what was there before."""

    __tablename__ = "triage_change"
    __table_args__ = (Index("ix_triage_change_detection", "detection_id", "action_id"),)

    action_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    detection_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    oid: str
    outcome: int = Field(default=0, sa_type=SmallInteger)
    """0 planned, 1 done, 2 changed by somebody else, 3 not a step from there, 4 undone."""
    version: int = 0
    """Of the alert: expected while planned, and what it became once done."""
    status: int = Field(default=0, sa_type=SmallInteger)
    """This and what follows: as it was before."""
    classification: int = Field(default=0, sa_type=SmallInteger)
    assignee: str = ""
    rank: int = Field(default=0, sa_type=SmallInteger)
    tags: str = ""
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)
    resolved_at: int | None = Field(default=None, sa_type=BigInteger)
    snoozed_until: int | None = Field(default=None, sa_type=BigInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    snooze: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    """The `Snooze` that it ended, for undo to bring back."""
