"""A claim tells by itself whether its message is the next: dialogues count their claims, and what is open in
a dialogue is found without reading the whole of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

OPEN = sa.text("status <> 'delivered'")


def upgrade() -> None:
    op.add_column("sessions", sa.Column("claims", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "ix_exchanges_open", "exchanges", ["session_id"], postgresql_where=OPEN, sqlite_where=OPEN
    )


def downgrade() -> None:
    op.drop_index("ix_exchanges_open", "exchanges")
    op.drop_column("sessions", "claims")
