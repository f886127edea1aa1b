"""People of the desk: accounts, sign-ins, attempts, the audit, and what agents learn at once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}.items()
}


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("max_sessions", sa.Integer(), nullable=False),
        sa.Column("avatar_url", sa.String(500), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_login_ms", sa.BigInteger()),
        sa.Column("heartbeat_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("username", name="uq_agents_username"),
        **TABLE,
    )
    op.create_table(
        "agent_logins",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agent_id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("renewed_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_agent_logins"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_agent_logins_agent_id"),
        **TABLE,
    )
    op.create_index("ix_agent_logins_agent", "agent_logins", ["agent_id"])
    op.create_index("ix_agent_logins_end", "agent_logins", ["expires_ms"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_attempts"),
        sa.UniqueConstraint("subject", name="uq_sign_in_attempts_subject"),
        **TABLE,
    )
    op.create_index("ix_sign_in_attempts_time", "sign_in_attempts", ["last_ms"])
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(48), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        **TABLE,
    )
    op.create_index("ix_audit_actor", "audit", ["actor", "id"])
    op.create_index("ix_audit_target", "audit", ["target", "id"])
    op.create_index("ix_audit_time", "audit", ["at_ms"])
    op.create_table(
        "agent_events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_events"),
        **TABLE,
    )
    op.create_index("ix_agent_events_agent", "agent_events", ["agent_id", "id"])
    op.create_index("ix_agent_events_time", "agent_events", ["created_ms"])
    order = op.create_table(
        "agent_event_order",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("written_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_event_order"),
        **TABLE,
    )
    op.bulk_insert(order, [{"id": 1, "written_ms": 0}])


def downgrade() -> None:
    for table in (
        "agent_event_order",
        "agent_events",
        "audit",
        "sign_in_attempts",
        "agent_logins",
        "agents",
    ):
        op.drop_table(table)
