"""What the tables of versioned entries share. A row holds the current version; `entry_version` keeps them all."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column, version_columns
from dui_kit.db.tables import Base
from sqlalchemy import Column, Index, Table, Text
from sqlalchemy.schema import SchemaItem

from dui_records.columns import of_person


def entry_table(name: str, *content: SchemaItem) -> Table:
    """A table of entries: `<name>_id`, whose, the current version and why it corrects the one before, and the content.

    Ids are UUIDv7: the index of a person's entries gives them newest first.
    """
    return Table(
        name,
        Base.metadata,
        id_column("tenant_id", key=True),
        id_column(f"{name}_id", key=True),
        id_column("beneficiary_id"),
        *version_columns(),
        instant_column("created_at"),
        Column("reason", Text),
        *content,
        of_person(name),
        Index(f"{name}_beneficiary_id_idx", "tenant_id", "beneficiary_id", f"{name}_id"),
    )
