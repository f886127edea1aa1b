"""Every table there is: importing this fills the metadata that migrations and checks compare."""

from __future__ import annotations

from storage import (
    agents_tables,
    canned_tables,
    customers,
    events_tables,
    handoff_tables,
    library_tables,
    models,
    outbound_tables,
    pictures_tables,
    service_tables,
)
from storage.columns import Base

__all__ = [
    "Base",
    "agents_tables",
    "canned_tables",
    "customers",
    "events_tables",
    "handoff_tables",
    "library_tables",
    "models",
    "outbound_tables",
    "pictures_tables",
    "service_tables",
]
