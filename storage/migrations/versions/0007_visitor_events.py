"""What the open pages of customers learn at once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
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
        "visitor_events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("session_id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_visitor_events"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_visitor_events_session_id"),
        **TABLE,
    )
    op.create_index("ix_visitor_events_session", "visitor_events", ["session_id", "id"])
    op.create_index("ix_visitor_events_time", "visitor_events", ["created_ms"])


def downgrade() -> None:
    op.drop_table("visitor_events")
