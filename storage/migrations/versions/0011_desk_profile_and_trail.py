"""A customer's e-mail address, and the audit in the order of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("handoffs", sa.Column("email", sa.String(254), nullable=False, server_default=""))
    op.create_index("ix_handoff_steps_time", "handoff_steps", ["created_ms", "id"])
    op.create_index("ix_handoff_steps_actor", "handoff_steps", ["actor", "created_ms"])


def downgrade() -> None:
    op.drop_index("ix_handoff_steps_actor", "handoff_steps")
    op.drop_index("ix_handoff_steps_time", "handoff_steps")
    op.drop_column("handoffs", "email")
