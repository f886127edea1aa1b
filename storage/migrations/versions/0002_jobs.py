"""Jobs, platforms' tokens, and how a late answer will travel."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
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
    op.add_column("exchanges", sa.Column("later", sa.String(16)))
    op.create_table(
        "jobs",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("exchange_id", NUMBER),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("lease_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(191)),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name="fk_jobs_exchange_id"),
        sa.UniqueConstraint("kind", "key", name="uq_jobs_work"),
        **TABLE,
    )
    op.create_index("ix_jobs_due", "jobs", ["status", "due_ms"])
    op.create_index("ix_jobs_lease", "jobs", ["status", "lease_ms"])
    op.create_index("ix_jobs_exchange_id", "jobs", ["exchange_id"])
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("value", WORDS, nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("refresher", sa.String(64)),
        sa.Column("refresh_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tokens"),
        **TABLE,
    )


def downgrade() -> None:
    op.drop_table("tokens")
    op.drop_table("jobs")
    with op.batch_alter_table("exchanges") as batch:
        batch.drop_column("later")
