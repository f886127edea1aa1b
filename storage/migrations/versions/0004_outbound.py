"""Rests of long answers, answers that ride along, and windows in which users may be written to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}.items()
}


def upgrade() -> None:
    op.create_table(
        "rests",
        sa.Column("exchange_id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("text", WORDS, nullable=False),
        sa.Column("taken_by", NUMBER),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", name="pk_rests"),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name="fk_rests_exchange_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_rests_session_id", ondelete="CASCADE"
        ),
        **TABLE,
    )
    op.create_index("ix_rests_session", "rests", ["session_id", "exchange_id"])
    op.create_index("ix_rests_expires_ms", "rests", ["expires_ms"])
    op.create_table(
        "rides",
        sa.Column("exchange_id", NUMBER, nullable=False),
        sa.Column("carrier_id", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", name="pk_rides"),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name="fk_rides_exchange_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["carrier_id"], ["exchanges.id"], name="fk_rides_carrier_id", ondelete="CASCADE"
        ),
        **TABLE,
    )
    op.create_index("ix_rides_carrier_id", "rides", ["carrier_id"])
    op.create_table(
        "push_windows",
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("opened_by", sa.String(16), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("closes_ms", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "account", "user_id", "opened_by", name="pk_push_windows"),
        **TABLE,
    )


def downgrade() -> None:
    op.drop_table("push_windows")
    op.drop_table("rides")
    op.drop_table("rests")
