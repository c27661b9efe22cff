"""Table of the allergies."""

from __future__ import annotations

from sqlalchemy import Column, SmallInteger, Text

from dui_records.entries.tables import entry_table

allergy = entry_table(
    "allergy",
    Column("kind", SmallInteger, nullable=False),
    Column("substance", Text, nullable=False),
    Column("reaction", Text),
    Column("severity", SmallInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("noticed_on", Text),
)
