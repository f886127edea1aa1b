"""What SQLAlchemy leaves out for SQLite: hints."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.sqlite.base import SQLiteCompiler


class HintingCompiler(SQLiteCompiler):
    """Writes a table's hint after its name."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text
