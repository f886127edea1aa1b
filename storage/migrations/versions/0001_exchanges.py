"""Dialogues, exchanges and the transcript."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# written out and not taken from storage/models.py: this step must stay what it was
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}.items()
}


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("session_key", sa.String(128), nullable=False),
        sa.Column("conversation_id", sa.String(64)),
        sa.Column("conversation_owner", sa.String(64)),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("platform", "account", "user_id", "session_key", name="uq_sessions_who"),
        **TABLE,
    )
    op.create_index("ix_sessions_key", "sessions", ["session_key"])

    op.create_table(
        "exchanges",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("trace_id", sa.String(64), nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("session_key", sa.String(128), nullable=False),
        sa.Column("dedupe_key", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("question", WORDS, nullable=False),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("lease_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("coze_calls", sa.Integer(), nullable=False),
        sa.Column("answer", WORDS),
        sa.Column("source", sa.String(16)),
        sa.Column("error_code", sa.String(64)),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("docs", sa.JSON(), nullable=False),
        sa.Column("suggestions", sa.JSON(), nullable=False),
        sa.Column("conversation_id", sa.String(64)),
        sa.Column("chat_id", sa.String(64)),
        sa.Column("logid", sa.String(64)),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("first_delta_ms", sa.Integer()),
        sa.Column("total_ms", sa.Integer()),
        sa.Column("delivery", sa.String(16)),
        sa.Column("delivery_error", sa.String(64)),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger()),
        sa.Column("delivered_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_exchanges"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_exchanges_session_id"),
        sa.UniqueConstraint("platform", "account", "dedupe_key", name="uq_exchanges_message"),
        **TABLE,
    )
    for name, columns in (
        ("ix_exchanges_trace_id", ["trace_id"]),
        ("ix_exchanges_time", ["created_ms", "id"]),
        ("ix_exchanges_platform_time", ["platform", "created_ms", "id"]),
        ("ix_exchanges_user_time", ["user_id", "created_ms", "id"]),
        ("ix_exchanges_key_time", ["session_key", "created_ms", "id"]),
        ("ix_exchanges_status_time", ["status", "created_ms", "id"]),
        ("ix_exchanges_source_time", ["source", "created_ms", "id"]),
        ("ix_exchanges_session", ["session_id", "id"]),
    ):
        op.create_index(name, "exchanges", columns)

    op.create_table(
        "messages",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("exchange_id", NUMBER),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", WORDS, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_messages_session_id"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name="fk_messages_exchange_id"),
        **TABLE,
    )
    op.create_index("ix_messages_session", "messages", ["session_id", "id"])
    op.create_index("ix_messages_exchange_id", "messages", ["exchange_id"])


def downgrade() -> None:
    for table in ("messages", "exchanges", "sessions"):
        op.drop_table(table)
