"""Each dialogue counts its claims, so that a claim can tell by itself whether its message is the next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("claims", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("sessions", "claims")
