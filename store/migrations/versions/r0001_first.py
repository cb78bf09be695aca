"""The first schema."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> Mapping[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


_OPEN = _where("status < 2")
_DONE = _where("status >= 2")
_CURRENT = _where("valid_to IS NULL")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "api_key",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("allowed_ip_range", sa.String(), nullable=False),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "key_hash"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "digest"),
    )
    op.create_index("ix_audit_entry_time", "audit_entry", ["time"])
    op.create_table(
        "configuration_body",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "detection",
        sa.Column("id", _ID, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("detect_id", sa.String(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("cat", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("sid", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("classification", sa.SmallInteger(), nullable=False),
        sa.Column("assignee", sa.String(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("snoozed_until", sa.BigInteger(), nullable=True),
        sa.Column("damaged", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_detection_done", "detection", ["severity", "time", "id"], **_DONE)
    op.create_index("ix_detection_done_oid", "detection", ["oid", "severity", "time", "id"], **_DONE)
    op.create_index("ix_detection_queue", "detection", ["severity", "time", "id"], **_OPEN)
    op.create_index("ix_detection_queue_cat", "detection", ["cat", "severity", "time", "id"], **_OPEN)
    op.create_index(
        "ix_detection_queue_hostname", "detection", ["hostname", "severity", "time", "id"], **_OPEN
    )
    op.create_index("ix_detection_queue_oid", "detection", ["oid", "severity", "time", "id"], **_OPEN)
    op.create_index("ix_detection_time", "detection", ["time", "oid"])
    op.create_index("uq_detection", "detection", ["oid", "detect_id"], unique=True)
    op.create_table(
        "detection_body",
        sa.Column("detection_id", _ID, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("detection_id"),
    )
    op.create_table(
        "detection_count",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "severity", "status"),
    )
    op.create_table(
        "direct_permission",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "email"),
    )
    op.create_index("ix_direct_permission_email", "direct_permission", ["email"])
    op.create_table(
        "group_member",
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("owner", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gid", "email", "owner"),
    )
    op.create_index("ix_group_member_email", "group_member", ["email"])
    op.create_table(
        "group_organization",
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("gid", "oid"),
    )
    op.create_index("ix_group_organization_oid", "group_organization", ["oid"])
    op.create_table(
        "journal",
        sa.Column("seq", _ID, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("oid", sa.String(), nullable=True),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("marks", sa.JSON(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["node.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("oid"),
    )
    op.create_index("ix_node_first", "node", ["first"])
    op.create_index("ix_node_parent_id", "node", ["parent_id"])
    op.create_table(
        "organization",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("sensor_quota", sa.Integer(), nullable=True),
        sa.Column("quota_used", sa.Float(), nullable=True),
        sa.Column("sensors_online", sa.Integer(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("oid"),
    )
    op.create_index("ix_organization_name", "organization", ["name"])
    op.create_table(
        "organization_error",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("component", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("oid", "component"),
    )
    op.create_table(
        "organization_group",
        sa.Column("gid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gid"),
    )
    op.create_table(
        "preference",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "sensor",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("sid", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("platform", sa.BigInteger(), nullable=False),
        sa.Column("architecture", sa.Integer(), nullable=False),
        sa.Column("enrolled", sa.BigInteger(), nullable=True),
        sa.Column("alive", sa.BigInteger(), nullable=True),
        sa.Column("internal_ip", sa.String(), nullable=False),
        sa.Column("external_ip", sa.String(), nullable=False),
        sa.Column("isolated", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "sid"),
    )
    op.create_index("ix_sensor_hostname", "sensor", ["hostname"])
    op.create_table(
        "sync_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("organizations", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.Column("detections_new", sa.Integer(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sync_state",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("attempted_at", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "subject"),
    )
    op.create_table(
        "usage",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "day", "metric"),
    )
    op.create_table(
        "user_account",
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("mfa", sa.Boolean(), nullable=True),
        sa.Column("mfa_types", sa.JSON(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("email"),
    )
    op.create_table(
        "configuration_record",
        sa.Column("id", _ID, nullable=False),
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("section", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("modified", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["hash"], ["configuration_body.hash"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_configuration_content", "configuration_record", ["section", "name", "hash"])
    op.create_index(
        "uq_configuration_current",
        "configuration_record",
        ["oid", "section", "name"],
        unique=True,
        **_CURRENT,
    )
