"""Sessions of the session service, and customers who wait for a person."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
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
        "service_sessions",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("slot", sa.Integer()),
        sa.Column("bot_id", sa.String(64), nullable=False),
        sa.Column("earlier", sa.JSON(), nullable=False),
        sa.Column("remembers", sa.Boolean(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_sessions"),
        sa.UniqueConstraint("key", name="uq_service_sessions_key"),
        sa.UniqueConstraint("tenant", "user_id", "slot", name="uq_service_sessions_slot"),
        **TABLE,
    )
    op.create_index("ix_service_sessions_end", "service_sessions", ["expires_ms"])
    op.create_table(
        "transfers",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_transfers_session_id"),
        sa.UniqueConstraint("session_id", name="uq_transfers_session"),
        **TABLE,
    )


def downgrade() -> None:
    op.drop_table("transfers")
    op.drop_table("service_sessions")
