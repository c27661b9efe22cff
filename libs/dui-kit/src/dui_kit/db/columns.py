"""Kinds of columns that the tables of services share, and the type of their rows."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import Column, DateTime, Integer, Text, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.schema import SchemaItem

#: A row of some columns, by their names: each mapping knows which.
AnyRow: TypeAlias = Any


def id_column(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    """A UUID, as text in Python."""
    return Column(name, UUID(as_uuid=False), primary_key=key, nullable=null)


def instant_column(name: str, *, null: bool = False, made: bool = False) -> Column[Any]:
    """An instant, UTC; `made`: when the row is inserted, by the clock of the database."""
    default = text("clock_timestamp()") if made else None
    return Column(name, DateTime(timezone=True), nullable=null, server_default=default)


def key_column(name: str, *, null: bool = False) -> Column[str]:
    """A text that is searched or sorted: collation "C", whose operators use an index under row-level security."""
    return Column(name, Text(collation="C"), nullable=null)


def version_columns() -> list[SchemaItem]:
    """Number, author and time of the version that a row holds; `entry_version` keeps them all."""
    return [
        Column("version", Integer, nullable=False),
        id_column("author_account_id", null=True),
        instant_column("recorded_at"),
    ]
