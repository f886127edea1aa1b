"""What Alembic runs: the steps, on the connection that storage/schema.py opened and locked."""

from __future__ import annotations

from alembic import context

from storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
    render_as_batch=True,  # SQLite changes a table only by rebuilding it
    transactional_ddl=context.config.attributes["connection"].dialect.name not in {"mysql", "mariadb"},
)
context.run_migrations()
