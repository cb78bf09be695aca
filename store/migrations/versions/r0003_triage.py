"""Triage of alerts: folds and storms, snoozes, decisions and what they changed."""

import uuid
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from store import changes
from store.audituse import rows_of
from store.timeline import audit_event

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> Mapping[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


_OPEN = _where("status < 2")
_DONE = _where("status >= 2")
_FOLD_OPEN = _where("open > 0")


def upgrade() -> None:
    """Each subject's tables, and what the alerts that are there need."""
    _detections()
    _folds()
    _triage()
    _sla()
    _searches()
    _shift()
    _cases()
    _access_plans()
    _templates()
    _rollouts()
    _runs()
    _text()
    _reviews()
    _deadlines()
    _access_events()
    _access_former()
    _audit_use()
    _billing()
    _customers()
    op.create_index("ix_api_key_name", "api_key", ["name", "oid", "key_hash"])
    _changes()


def _changes() -> None:
    """Last of all: what the steps before wrote is no change that anybody waits for."""
    op.create_table(
        "organization_change",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "part"),
    )
    op.create_index("ix_organization_change_seq", "organization_change", ["seq", "part", "oid"])
    changes.create(op.get_bind())


def _detections() -> None:
    """The queue runs by rank, which is the severity but for what came back from a snooze."""
    op.add_column("detection", sa.Column("rank", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("detection", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.add_column("detection", sa.Column("fold_id", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("detection", sa.Column("tags", sa.String(), nullable=False, server_default=""))
    queues: tuple[tuple[str, list[str], Mapping[str, Any]], ...] = (
        ("queue", [], _OPEN),
        ("queue_oid", ["oid"], _OPEN),
        ("done", [], _DONE),
        ("done_oid", ["oid"], _DONE),
    )
    for name in ("queue", "queue_oid", "queue_cat", "queue_hostname", "done", "done_oid", "time"):
        op.drop_index(f"ix_detection_{name}", "detection")
    op.create_index("ix_detection_time", "detection", ["time"])
    op.execute("UPDATE detection SET rank = severity")
    # At the end of SQLite's indexes the id is anyway, and would be there twice.
    end = [] if op.get_bind().dialect.name == "sqlite" else ["id"]
    for name, columns, where in queues:
        op.create_index(f"ix_detection_{name}", "detection", [*columns, "rank", "time", *end], **where)
    op.create_index("ix_detection_due", "detection", ["due_at", *end], **_OPEN)
    op.create_index("ix_detection_due_oid", "detection", ["oid", "due_at"], **_OPEN)
    held = _where("status < 2 AND assignee <> ''")
    op.create_index("ix_detection_held", "detection", ["oid", "assignee"], **held)
    op.create_index("ix_detection_mine", "detection", ["assignee"], **held)
    op.create_index("ix_detection_fold", "detection", ["fold_id", "rank", "time", *end], **_OPEN)
    op.create_index("ix_detection_fold_done", "detection", ["fold_id", "rank", "time", *end], **_DONE)


def _folds() -> None:
    op.create_table(
        "fold",
        sa.Column("id", _ID, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("storm", sa.BigInteger(), nullable=False),
        sa.Column("cat", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("last_open", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("assignees", sa.JSON(), nullable=False),
        sa.Column("hours", sa.JSON(), nullable=False),
        sa.Column("true_positives", sa.Integer(), nullable=False),
        sa.Column("false_positives", sa.Integer(), nullable=False),
        sa.Column("last_true_at", sa.BigInteger(), nullable=True),
        sa.Column("last_verdict", sa.SmallInteger(), nullable=False),
        sa.Column("last_verdict_at", sa.BigInteger(), nullable=True),
        sa.Column("last_verdict_by", sa.String(), nullable=False),
        sa.Column("last_verdict_alert", sa.BigInteger(), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_fold", "fold", ["storm", "oid"], unique=True)
    op.create_index("ix_fold_open", "fold", ["oid", "storm"], **_FOLD_OPEN)
    op.create_table(
        "storm",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cat", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("salient", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("organizations", sa.Integer(), nullable=False),
        sa.Column("fold_id", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("last_open", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("assignees", sa.JSON(), nullable=False),
        sa.Column("hours", sa.JSON(), nullable=False),
        sa.Column("last_verdict", sa.SmallInteger(), nullable=False),
        sa.Column("last_verdict_at", sa.BigInteger(), nullable=True),
        sa.Column("last_verdict_by", sa.String(), nullable=False),
        sa.Column("last_verdict_alert", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_storm_queue", "storm", ["rank", "last_open", "key"], **_FOLD_OPEN)
    op.create_table(
        "fold_key",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule"),
    )
    # What is there already is sorted by `store.folds.rebuild`, a few at a time.
    connection = op.get_bind()
    last = connection.execute(sa.text("SELECT max(id) FROM detection")).scalar_one()
    if last is not None:
        preference = sa.table("preference", sa.column("key"), sa.column("value", sa.JSON()))
        pending = {"rules": {"*": [0, last]}, "more": {}}
        connection.execute(preference.insert().values(key="folds.rebuild", value=pending))


def _sla() -> None:
    """The clocks of the alerts that are there, by what Cases begin with: nobody could say otherwise yet."""
    op.create_table(
        "case_configuration",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("sla", sa.JSON(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid"),
    )
    for status, minutes in ((0, (480, 100, 60, 15, 15)), (1, (10_080, 2_800, 1_440, 720, 240))):
        span = " ".join(f"WHEN {severity} THEN {number * 60_000}" for severity, number in enumerate(minutes))
        op.execute(
            f"UPDATE detection SET due_at = time + CASE severity {span} ELSE 0 END WHERE status = {status}"
        )


def _triage() -> None:
    op.create_table(
        "snooze",
        sa.Column("detection_id", _ID, autoincrement=False, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("fold_id", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("more", sa.Integer(), nullable=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("action_id", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("woken_at", sa.BigInteger(), nullable=True),
        sa.Column("woken_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("detection_id"),
    )
    op.create_index("ix_snooze_fold_id", "snooze", ["fold_id"])
    op.create_index("ix_snooze_until", "snooze", ["until"])
    op.create_index("ix_snooze_asleep", "snooze", ["oid"], **_where("woken_at IS NULL"))
    op.create_table(
        "triage_action",
        sa.Column("id", _ID, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_triage_action_time", "triage_action", ["time"])
    op.create_index("ix_triage_action_unfinished", "triage_action", ["id"], **_where("finished_at IS NULL"))
    op.create_table(
        "triage_change",
        sa.Column("action_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("detection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("classification", sa.SmallInteger(), nullable=False),
        sa.Column("assignee", sa.String(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("tags", sa.String(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("snoozed_until", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("snooze", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("action_id", "detection_id"),
    )
    op.create_index("ix_triage_change_detection", "triage_change", ["detection_id", "action_id"])


def _case() -> tuple["sa.Column[Any]", ...]:
    return (
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("case_number", sa.BigInteger(), autoincrement=False, nullable=False),
    )


def _cases() -> None:
    """What a case holds, how much of it was read, and what is to be changed in it."""
    op.create_index("ix_case_record_all", "case_record", ["severity", "created_at", "oid", "case_number"])
    op.create_table(
        "case_reading",
        *_case(),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("agreed", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "case_number"),
    )
    stale = sa.text("stale")
    op.create_index(
        "ix_case_reading_stale",
        "case_reading",
        ["oid", "case_number"],
        sqlite_where=stale,
        postgresql_where=stale,
    )
    op.create_table(
        "case_detection",
        *_case(),
        sa.Column("detect_id", sa.String(), nullable=False),
        sa.Column("cat", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("sid", sa.String(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("oid", "case_number", "detect_id"),
    )
    op.create_index("ix_case_detection_detect_id", "case_detection", ["oid", "detect_id"])
    op.create_table(
        "case_event",
        *_case(),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "case_number", "event_id"),
    )
    op.create_table(
        "case_item",
        *_case(),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "case_number", "kind", "item_id"),
    )
    op.create_table(
        "case_edit",
        sa.Column("id", _ID, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("case_number", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_case_edit_waiting", "case_edit", ["state", "id"], **_where("state < 2"))
    op.create_index("ix_case_edit_case", "case_edit", ["oid", "case_number", "id"])
    op.create_index("ix_case_edit_state", "case_edit", ["state", "id"])


def _searches() -> None:
    op.create_table(
        "lcql_search",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "lcql_organization",
        sa.Column("search_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("price", sa.Float(), nullable=True),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("scanned", sa.BigInteger(), nullable=False),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("search_id", "oid"),
    )
    op.create_table(
        "lcql_row",
        sa.Column("id", _ID, nullable=False),
        sa.Column("search_id", sa.BigInteger(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_lcql_row", "lcql_row", ["search_id", "time", "id"])


def _shift() -> None:
    """Hand-overs, queues with a name, campaigns."""
    op.create_table(
        "handover",
        sa.Column("id", _ID, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_handover_offered", "handover", ["by"], **_where("state = 1"))
    op.create_index("ix_handover_by", "handover", ["by", "id"])
    op.create_table(
        "handover_item",
        sa.Column("id", _ID, nullable=False),
        sa.Column("handover_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("alerts", sa.JSON(), nullable=False),
        sa.Column("case_number", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.JSON(), nullable=False),
        sa.Column("hypothesis", sa.String(), nullable=False),
        sa.Column("next_step", sa.String(), nullable=False),
        sa.Column("blocker", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_handover_item", "handover_item", ["handover_id", "key"], unique=True)
    op.create_table(
        "saved_queue",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "queue_look",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "operator"),
    )
    op.create_table(
        "campaign",
        sa.Column("id", _ID, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=False),
        sa.Column("conclusion", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "campaign_alert",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("detection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "detection_id"),
    )
    op.create_index("ix_campaign_alert_detection", "campaign_alert", ["detection_id"])
    op.create_table(
        "campaign_note",
        sa.Column("id", _ID, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_campaign_note", "campaign_note", ["campaign_id", "id"])


def _deadlines() -> None:
    """Access that ends by itself."""
    op.create_table(
        "access_deadline",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_access_deadline_open", "access_deadline", ["due_at", "id"], **_where("state < 2"))
    op.create_table(
        "break_glass",
        sa.Column("id", _ID, nullable=False),
        sa.Column("deadline_id", sa.BigInteger(), nullable=False),
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("ticket", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_for", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=False),
        sa.Column("end_reason", sa.String(), nullable=False),
        sa.Column("gives", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_break_glass_deadline", "break_glass", ["deadline_id"], unique=True)


def _change() -> tuple["sa.Column[Any]", ...]:
    names = ("kind", "oid", "gid", "principal", "permission")
    return tuple(sa.Column(name, sa.String(), nullable=False) for name in names)


def _access_plans() -> None:
    """What is to change about access."""
    op.create_table(
        "staged_change",
        sa.Column("id", _ID, nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        *_change(),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "uq_staged_change",
        "staged_change",
        ["operator", "kind", "oid", "gid", "principal", "permission"],
        unique=True,
    )
    op.create_table(
        "access_plan",
        sa.Column("id", _ID, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("organizations", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_access_plan_applying", "access_plan", ["id"], **_where("state = 1"))
    op.create_table(
        "access_step",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        *_change(),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.Column("made", sa.String(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("plan_id", "seq"),
    )


def _reviews() -> None:
    """Access reviews: campaigns, lines, decisions, and the lists that lines name."""
    op.create_table(
        "access_review",
        sa.Column("id", _ID, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("scope_name", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("kinds", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=False),
        sa.Column("readings", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "review_line",
        sa.Column("id", _ID, nullable=False),
        sa.Column("review_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("permissions", sa.String(), nullable=False),
        sa.Column("places", sa.String(), nullable=False),
        sa.Column("permission_count", sa.Integer(), nullable=False),
        sa.Column("place_count", sa.Integer(), nullable=False),
        sa.Column("outside", sa.Integer(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.SmallInteger(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("decided_digest", sa.String(), nullable=False),
        sa.Column("decided_permissions", sa.String(), nullable=False),
        sa.Column("decided_places", sa.String(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_review_line", "review_line", ["review_id", "key"], unique=True)
    op.create_table(
        "review_decision",
        sa.Column("id", _ID, nullable=False),
        sa.Column("review_id", sa.BigInteger(), nullable=False),
        sa.Column("line_id", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.SmallInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("permissions", sa.String(), nullable=False),
        sa.Column("places", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_review_decision", "review_decision", ["review_id", "line_id", "id"])
    op.create_table(
        "review_content",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )


def _access_events() -> None:
    """The timeline of access, from what audit logs told so far, and the roles that a file gave to groups."""
    op.create_table(
        "access_event",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_access_event_time", "access_event", ["time", "id"])
    for name in ("oid", "gid", "principal", "kind"):
        op.create_index(f"ix_access_event_{name}", "access_event", [name, "time", "id"])
    op.create_table(
        "group_role",
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gid"),
    )
    op.create_table(
        "access_file",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    _told_by_audit_logs()


def _told_by_audit_logs() -> None:
    connection = op.get_bind()
    entry = sa.table(
        "audit_entry",
        sa.column("oid"),
        sa.column("digest"),
        sa.column("time"),
        sa.column("details", sa.JSON()),
    )
    event = sa.table(
        "access_event",
        *map(
            sa.column,
            ("digest", "time", "source", "oid", "gid", "kind", "action", "actor", "principal", "permission"),
        ),
        sa.column("details", sa.JSON()),
    )
    found = connection.execute(sa.select(entry).order_by(entry.c.time, entry.c.digest))
    for part in found.partitions(500):
        if rows := [
            row for each in part if (row := audit_event(each.oid, each.digest, each.time, each.details))
        ]:
            connection.execute(event.insert(), rows)


def _access_former() -> None:
    """What was granted before. What is there is known to be so since it was read last."""
    op.add_column("sync_state", sa.Column("first_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE sync_state SET first_at = checked_at")
    tables = ("direct_permission", "organization_group", "group_member", "group_organization", "api_key")
    for name in tables:
        op.add_column(name, sa.Column("valid_from", sa.BigInteger(), nullable=False, server_default="0"))
        subject, oid = ("keys" if name == "api_key" else "access"), f"{name}.oid"
        if name not in ("direct_permission", "api_key"):
            subject, oid = "groups", "''"
        # Of groups that only organizations name, when those were read, which is said by them.
        op.execute(
            f"UPDATE {name} SET valid_from = COALESCE((SELECT checked_at FROM sync_state"
            f" WHERE sync_state.oid = {oid} AND subject = '{subject}'), 0)"
        )
    op.create_table(
        "access_former",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("allowed_ip_range", sa.String(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("oid", "gid", "principal"):
        op.create_index(f"ix_access_former_{name}", "access_former", [name, "kind", "valid_to"])
    op.create_index("ix_access_former_kind", "access_former", ["kind", "valid_to", "valid_from"])


def _audit_use() -> None:
    """Who did what, in sum, of the audit logs that are stored."""
    op.create_table(
        "audit_use",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("mark", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "actor", "mark"),
    )
    connection = op.get_bind()
    entry = sa.table(
        "audit_entry",
        sa.column("oid"),
        sa.column("actor"),
        sa.column("time"),
        sa.column("details", sa.JSON()),
    )
    use = sa.table("audit_use", *map(sa.column, ("oid", "actor", "mark", "first", "last")))
    found = connection.execute(sa.select(entry).order_by(entry.c.oid))
    for oid, told in groupby(found, key=lambda each: each.oid):
        if rows := rows_of(oid, ((each.actor, each.time, each.details) for each in told)):
            connection.execute(use.insert(), rows)


def _billing() -> None:
    """Price books, the vendor's invoices, and how full quotas were."""
    op.create_table(
        "price_book",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "vendor_invoice",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "month"),
    )
    op.create_table(
        "quota_reading",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("used", sa.Float(), nullable=True),
        sa.Column("breakdown", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "day"),
    )


def _templates() -> None:
    """Templates as imported, and the layers that they are."""
    op.create_table(
        "template_version",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("main", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
        "template_file",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", "path"),
    )
    op.create_table(
        "template_content",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "template_assignment",
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
        sa.Column("assigned_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "template"),
    )
    op.create_index("ix_template_assignment_template", "template_assignment", ["template"])


def _rollouts() -> None:
    """Plans of configuration, their waves and steps, what templates own, what was decided about drift."""
    op.create_table(
        "rollout_plan",
        sa.Column("id", _ID, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("risks", sa.JSON(), nullable=False),
        sa.Column("blocked", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("undo_of", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("said", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_rollout_plan_running", "rollout_plan", ["id"], **_where("state = 1"))
    op.create_table(
        "rollout_wave",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("gate", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("plan_id", "number"),
    )
    op.create_table(
        "rollout_step",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("section", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("change", sa.SmallInteger(), nullable=False),
        sa.Column("destructive", sa.Boolean(), nullable=False),
        sa.Column("before_hash", sa.String(), nullable=False),
        sa.Column("before_metadata", sa.JSON(), nullable=True),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("after_hash", sa.String(), nullable=False),
        sa.Column("after_metadata", sa.JSON(), nullable=True),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("written_etag", sa.String(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("plan_id", "seq"),
    )
    op.create_index("ix_rollout_step_wave", "rollout_step", ["plan_id", "wave", "oid"])
    op.create_index(
        "ix_rollout_step_change", "rollout_step", ["plan_id", "section", "name", "change", "after_hash"]
    )
    op.create_table(
        "rollout_body",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "rollout_lease",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid"),
    )
    op.create_table(
        "rollout_approval",
        sa.Column("id", _ID, nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_rollout_approval_plan_id", "rollout_approval", ["plan_id"])
    op.create_table(
        "template_owned",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("section", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=True),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "section", "name"),
    )
    op.create_index("ix_template_owned_template", "template_owned", ["template"])
    op.create_table(
        "wanted_state",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("wanted", sa.String(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid"),
    )
    op.create_table(
        "wanted_content",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(
        "ix_configuration_ended", "configuration_record", ["valid_to"], **_where("valid_to IS NOT NULL")
    )
    op.create_table(
        "drift_decision",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("section", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("decision", sa.SmallInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "section", "name"),
    )


def _runs() -> None:
    """What is done to many organizations in a row."""
    op.create_table(
        "run",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("undo_of", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_run_running", "run", ["id"], **_where("state = 1"))
    op.create_index("ix_run_undo_of", "run", ["undo_of"])
    op.create_table(
        "run_item",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("item", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "item"),
    )
    op.create_index("ix_run_item_oid", "run_item", ["oid", "run_id"])
    op.create_table(
        "run_step",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("item", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("needed", sa.Boolean(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.Column("made", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "item", "seq"),
    )


def _text() -> None:
    """The text index, which `store.textindex.rebuild` fills, and ids in fewer bytes."""
    connection = op.get_bind()
    op.create_table(
        "alert_label",
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sighting",
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", "oid"),
        sqlite_with_rowid=False,
    )
    if connection.dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE detection_text USING fts5(tokens, content='', detail=none, columnsize=0,"
            " tokenize=\"ascii tokenchars '_'\")"
        )
        driver: Any = connection.connection.driver_connection
        driver.create_function("limegrove_compact", 1, _compact)
        op.execute(
            "UPDATE detection SET detect_id = limegrove_compact(detect_id), sid = limegrove_compact(sid)"
        )
    else:
        op.create_table(
            "detection_text",
            sa.Column("detection_id", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column("tokens", postgresql.TSVECTOR(), nullable=False),
            sa.PrimaryKeyConstraint("detection_id"),
        )
        op.create_index("ix_detection_text_tokens", "detection_text", ["tokens"], postgresql_using="gin")
    last = connection.execute(sa.text("SELECT max(id) FROM detection")).scalar_one()
    if last is not None:
        preference = sa.table("preference", sa.column("key"), sa.column("value", sa.JSON()))
        connection.execute(preference.insert().values(key="textindex.rebuild", value=[1, last]))


def _compact(value: str) -> str | bytes:
    try:
        found = uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        return value
    return found.bytes if str(found) == value else value


def _customers() -> None:
    op.create_table(
        "customer_document",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("calendar", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("pushed_hash", sa.String(), nullable=False),
        sa.Column("pushed_etag", sa.String(), nullable=False),
        sa.Column("pushed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("oid"),
    )
