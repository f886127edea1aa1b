"""Dialogues that people have or had; whoever waited in the old queue waits in the new one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}.items()
}


def upgrade() -> None:
    op.create_table(
        "handoffs",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.BigInteger()),
        sa.Column("agent_username", sa.String(64)),
        sa.Column("agent_name", sa.String(128)),
        sa.Column("reason", sa.String(16)),
        sa.Column("details", LONG, nullable=False),
        sa.Column("severity", sa.String(8)),
        sa.Column("vip", sa.Boolean(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        *(
            sa.Column(f"{name}_ms", sa.BigInteger())
            for name in ("trigger", "pending", "assigned", "live", "ended", "agent", "customer")
        ),
        sa.Column("mail_to", LONG, nullable=False),
        sa.Column("mail_ms", sa.BigInteger()),
        sa.Column("told_until", sa.BigInteger(), nullable=False),
        sa.Column("tell_until", sa.BigInteger(), nullable=False),
        sa.Column("rating", sa.Integer()),
        sa.Column("rating_open", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_handoffs"),
        sa.UniqueConstraint("session_id", name="uq_handoffs_session"),
        _of_session("handoffs"),
        **TABLE,
    )
    op.create_index("ix_handoffs_queue", "handoffs", ["status", "pending_ms"])
    op.create_index("ix_handoffs_agent", "handoffs", ["agent_username", "status"])
    op.create_index("ix_handoffs_time", "handoffs", ["updated_ms"])
    op.create_table(
        "handoff_steps",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("from_status", sa.String(32), nullable=False),
        sa.Column("to_status", sa.String(32), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_handoff_steps"),
        _of_session("handoff_steps"),
        **TABLE,
    )
    op.create_index("ix_handoff_steps_session", "handoff_steps", ["session_id", "id"])
    op.create_index("ix_handoff_steps_action", "handoff_steps", ["action", "created_ms"])
    op.create_table(
        "transfer_requests",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("from_username", sa.String(64), nullable=False),
        sa.Column("to_username", sa.String(64), nullable=False),
        sa.Column("to_name", sa.String(128), nullable=False),
        sa.Column("reason", LONG, nullable=False),
        sa.Column("note", LONG, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_transfer_requests"),
        _of_session("transfer_requests"),
        **TABLE,
    )
    op.create_index("ix_transfer_requests_target", "transfer_requests", ["to_username", "status"])
    op.create_index("ix_transfer_requests_session", "transfer_requests", ["session_id", "status"])
    op.create_table(
        "handoff_notes",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("text", LONG, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_handoff_notes"),
        _of_session("handoff_notes"),
        **TABLE,
    )
    op.create_index("ix_handoff_notes_session", "handoff_notes", ["session_id", "id"])
    op.create_table(
        "queue_door",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_queue_door"),
        **TABLE,
    )
    op.execute("INSERT INTO queue_door (id, passed) VALUES (1, 0)")
    op.execute(
        "INSERT INTO handoffs (session_id, status, revision, details, vip, urgent, times, reason, severity,"
        " trigger_ms, pending_ms, mail_to, told_until, tell_until, rating_open, tags, created_ms, updated_ms)"
        " SELECT session_id, 'pending_manual', 1, '', false, false, 1, 'manual', 'medium',"
        " created_ms, created_ms, '',"
        " COALESCE((SELECT MAX(m.id) FROM messages m WHERE m.session_id = transfers.session_id), 0), 0,"
        " false, '[]', created_ms, created_ms FROM transfers"
    )
    op.drop_table("transfers")


def downgrade() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.UniqueConstraint("session_id", name="uq_transfers_session"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_transfers_session_id"),
        **TABLE,
    )
    op.execute(
        "INSERT INTO transfers (session_id, created_ms)"
        " SELECT session_id, pending_ms FROM handoffs WHERE status = 'pending_manual'"
    )
    for table in ("queue_door", "handoff_notes", "transfer_requests", "handoff_steps", "handoffs"):
        op.drop_table(table)


def _of_session(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_session_id"
    return sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=name, ondelete="CASCADE")
