"""Pictures that agents send and customers upload."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}.items()
}


def upgrade() -> None:
    op.create_table(
        "pictures",
        sa.Column("name", sa.String(48), nullable=False),
        sa.Column("session_id", NUMBER, nullable=True),
        sa.Column("mime", sa.String(32), nullable=False),
        sa.Column("content", BYTES, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pictures"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_pictures_session_id"),
        **TABLE,
    )
    op.create_index("ix_pictures_session_id", "pictures", ["session_id"])
    op.create_index("ix_pictures_created_ms", "pictures", ["created_ms"])


def downgrade() -> None:
    op.drop_table("pictures")
