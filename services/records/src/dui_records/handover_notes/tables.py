"""Table of the handover notes."""

from __future__ import annotations

from dui_kit.db.columns import instant_column
from sqlalchemy import Column, SmallInteger, Text

from dui_records.entries.tables import entry_table

handover_note = entry_table(
    "handover_note",
    Column("category", SmallInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("action", Text),
    Column("result", Text),
    Column("priority", SmallInteger, nullable=False),
    instant_column("observed_at"),
)
