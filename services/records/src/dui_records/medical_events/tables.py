"""Table of the medical history."""

from __future__ import annotations

from sqlalchemy import Column, SmallInteger, Text

from dui_records.entries.tables import entry_table

medical_event = entry_table(
    "medical_event",
    Column("kind", SmallInteger, nullable=False),
    Column("label", Text, nullable=False),
    Column("icd10_code", Text),
    Column("started_on", Text),
    Column("ended_on", Text),
    Column("comment", Text),
)
