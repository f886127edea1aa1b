"""The Q&A library, and which of its entries answered an exchange."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
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
        "library_entries",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("answer", WORDS, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("applies_to", sa.JSON(), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger()),
        sa.Column("valid_until_ms", sa.BigInteger()),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library_entries"),
        **TABLE,
    )
    op.create_index("ix_library_entries_revision", "library_entries", ["revision"])
    op.create_table(
        "library_phrasings",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("entry_id", NUMBER, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("text", WORDS, nullable=False),
        sa.Column("same", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library_phrasings"),
        sa.ForeignKeyConstraint(["entry_id"], ["library_entries.id"], name="fk_library_phrasings_entry_id"),
        **TABLE,
    )
    op.create_index("ix_library_phrasings_entry", "library_phrasings", ["entry_id", "place"])
    op.create_index("ix_library_phrasings_same", "library_phrasings", ["same"])
    op.create_table(
        "library_use",
        sa.Column("entry_id", NUMBER, nullable=False, autoincrement=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("last_hit_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("entry_id", name="pk_library_use"),
        sa.ForeignKeyConstraint(["entry_id"], ["library_entries.id"], name="fk_library_use_entry_id"),
        **TABLE,
    )
    state = op.create_table(
        "library_state",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library_state"),
        **TABLE,
    )
    op.bulk_insert(state, [{"id": 1, "revision": 0}])
    op.add_column("exchanges", sa.Column("library_id", sa.BigInteger()))
    op.create_index("ix_exchanges_error_time", "exchanges", ["error_code", "created_ms"])


def downgrade() -> None:
    op.drop_index("ix_exchanges_error_time", "exchanges")
    with op.batch_alter_table("exchanges") as batch:
        batch.drop_column("library_id")
    for table in ("library_state", "library_use", "library_phrasings", "library_entries"):
        op.drop_table(table)
