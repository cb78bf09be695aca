"""Cases, and what sync knows to be stale."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _where(condition: str) -> Mapping[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


_OPEN = _where("status < 2")


def upgrade() -> None:
    """Make the table of cases, and the column that says what of a subject is stale."""
    op.add_column("sync_state", sa.Column("stale", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "case_record",
        sa.Column("oid", sa.String(), nullable=False),
        sa.Column("case_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("classification", sa.SmallInteger(), nullable=False),
        sa.Column("assignees", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("conclusion", sa.String(), nullable=False),
        sa.Column("detection_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("oid", "case_number"),
    )
    op.create_index("ix_case_record_created_at", "case_record", ["created_at", "oid"])
    op.create_index(
        "ix_case_record_queue", "case_record", ["severity", "created_at", "oid", "case_number"], **_OPEN
    )
    op.create_index(
        "ix_case_record_queue_oid", "case_record", ["oid", "severity", "created_at", "case_number"], **_OPEN
    )
