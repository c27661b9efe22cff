"""Table of the drafts."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column
from dui_kit.db.tables import Base
from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from dui_records.columns import of_person

draft = Table(
    "draft",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("draft_id", key=True),
    id_column("beneficiary_id"),
    id_column("author_account_id"),
    #: Name of the entry that it will become: the field of `Draft.entry`.
    Column("kind", Text, nullable=False),
    #: The serialised `Draft`, of which only `entry` is set.
    Column("content", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    instant_column("created_at"),
    instant_column("expires_at"),
    of_person("draft"),
    Index("draft_author_idx", "tenant_id", "beneficiary_id", "author_account_id", "draft_id"),
    Index("draft_expires_at_idx", "tenant_id", "expires_at"),
)
